-- A sequence that was never asked has its first value already.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM catalogue_version
