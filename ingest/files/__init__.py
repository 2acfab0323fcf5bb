"""What people hand in as files: recordings, site tables, catalogues of sensors."""
