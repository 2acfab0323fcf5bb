-- Releases, as `aggregates.release.release` makes and reads them.

-- name: read_settled_moment
-- The newest moment before all transactions of clients that are under way: what is dated before it is there to be seen. The
-- reader writes nothing.
SELECT least(clock_timestamp(), min(xact_start)) - interval '1 microsecond'
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND usename IS DISTINCT FROM 'stadspuls_reader'

-- name: read_release
-- The manifest of a release.
SELECT manifest FROM release WHERE name = %(name)s

-- name: insert_release
-- A release, which is never changed.
INSERT INTO release (name, as_of, manifest) VALUES (%(name)s, %(as_of)s, %(manifest)s::text::jsonb)

-- name: list_releases
-- The releases by name.
SELECT name, manifest ->> 'title', as_of, made_at, (manifest ->> 'from')::date, (manifest ->> 'to')::date,
       manifest ->> 'licence', manifest ->> 'citation',
       (SELECT array_agg(f ->> 'file') FROM jsonb_array_elements(manifest -> 'files') f)
FROM release WHERE %(after_name)s::text IS NULL OR name > %(after_name)s ORDER BY name LIMIT %(limit)s

-- name: list_release_datasets
-- The releases by name, as the catalogue describes them.
SELECT name, manifest ->> 'title', ARRAY(SELECT jsonb_object_keys(manifest -> 'validity' -> 'quantities')), made_at,
       (manifest ->> 'from')::date, (manifest ->> 'to')::date, manifest ->> 'licence', manifest ->> 'citation'
FROM release ORDER BY name
