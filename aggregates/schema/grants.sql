-- What the roles may do, where there are roles.
DO $$
BEGIN
    GRANT USAGE ON SCHEMA public, as_of TO stadspuls_reader, stadspuls_writer;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO stadspuls_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA as_of TO stadspuls_reader, stadspuls_writer;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO stadspuls_writer;
    GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO stadspuls_writer;
    GRANT EXECUTE ON FUNCTION drop_frozen_chunks TO stadspuls_writer;
    GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO stadspuls_reader;
    REVOKE SELECT ON dead_letter FROM stadspuls_reader;       -- payloads may hold anything
    GRANT SELECT (count) ON dead_letter TO stadspuls_reader;  -- that there are some is no secret
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN RAISE NOTICE 'roles are missing: %', SQLERRM;
END $$;
