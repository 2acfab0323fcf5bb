"""The store: schema, the transactional write, and what is asked of it."""
