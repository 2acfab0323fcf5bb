ANALYZE dirty
