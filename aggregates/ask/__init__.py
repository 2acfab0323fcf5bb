"""Questions to the store and their answers as Arrow tables."""
