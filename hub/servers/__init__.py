"""The processes that an embedded hub owns: broker and database."""
