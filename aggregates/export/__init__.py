"""The whole hub as files."""
