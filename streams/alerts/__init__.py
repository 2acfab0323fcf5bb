"""Alert rules, and judging windows by them."""
