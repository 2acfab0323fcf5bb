-- The three roles, where this user may make roles; a managed database may have them made beforehand.
DO $$
DECLARE role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['stadspuls_owner', 'stadspuls_writer', 'stadspuls_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    ALTER ROLE stadspuls_reader SET statement_timeout = '60s';
    ALTER ROLE stadspuls_reader SET default_transaction_read_only = on;
EXCEPTION
    WHEN insufficient_privilege THEN RAISE NOTICE 'this user may not create roles: %', SQLERRM;
    -- Another hub on this server made or altered them at the same moment ("tuple concurrently updated").
    WHEN duplicate_object OR unique_violation OR internal_error THEN NULL;
END $$;
