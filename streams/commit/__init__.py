"""One batch in one transaction."""
