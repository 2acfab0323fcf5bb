-- Boundaries and statistics of a vintage into the store, as `aggregates.areas.load` runs it.

-- name: lock_areas
-- One load, assignment or join of areas at a time.
SELECT pg_advisory_xact_lock(hashtext('stadspuls areas'))

-- name: list_area_loads
-- What is loaded, of one vintage or of all.
SELECT vintage, municipality, part, title, origin, licence, table_id, modified, digest, loaded_at FROM area_load
WHERE (%(vintage)s::integer IS NULL OR vintage = %(vintage)s) ORDER BY vintage, municipality, part

-- name: list_municipality_areas
-- The areas of a municipality as they are now.
SELECT code, name, change, derived, geometry FROM area WHERE vintage = %(vintage)s AND municipality = %(municipality)s

-- name: list_codes_with_statistics
-- The areas of a municipality that have statistics.
SELECT DISTINCT code FROM area_statistic WHERE vintage = %(vintage)s AND 'GM' || substr(code, 3, 4) = %(municipality)s

-- name: delete_areas
-- Delete the areas of a municipality, before they are written again.
DELETE FROM area WHERE vintage = %(vintage)s AND municipality = %(municipality)s

-- name: insert_areas
-- The areas of a municipality.
INSERT INTO area (vintage, code, level, name, municipality, change, derived, geometry)
SELECT %(vintage)s, code, level, name, %(municipality)s, change, derived, geometry
FROM unnest(%(code)s::text[], %(level)s::text[], %(name)s::text[], %(change)s::text[], %(derived)s::bool[],
            %(geometry)s::bytea[]) AS n (code, level, name, change, derived, geometry)

-- name: delete_area_statistics
-- Delete the statistics of a municipality, before they are written again.
DELETE FROM area_statistic WHERE vintage = %(vintage)s AND 'GM' || substr(code, 3, 4) = %(municipality)s

-- name: insert_area_statistics
-- The statistics of a municipality.
INSERT INTO area_statistic (vintage, code, measure, value, content, attribute, unit, period, table_id, modified, key)
SELECT %(vintage)s, code, measure, value, content, attribute, unit, period, %(table_id)s, %(modified)s, key
FROM unnest(%(code)s::text[], %(measure)s::text[], %(value)s::float8[], %(content)s::text[], %(attribute)s::text[],
            %(unit)s::text[], %(period)s::text[], %(key)s::text[])
     AS n (code, measure, value, content, attribute, unit, period, key)

-- name: note_area_load
-- What was loaded, and from where.
INSERT INTO area_load (vintage, municipality, part, title, origin, licence, table_id, modified, digest)
VALUES (%(vintage)s, %(municipality)s, %(part)s, %(title)s, %(origin)s, %(licence)s, %(table_id)s, %(modified)s, %(digest)s)
ON CONFLICT (vintage, municipality, part) DO UPDATE SET title = excluded.title, origin = excluded.origin,
    licence = excluded.licence, table_id = excluded.table_id, modified = excluded.modified, digest = excluded.digest,
    loaded_at = now()

-- name: delete_area_results
-- The boundaries of a vintage changed: its sensors are placed anew, and all its figures made again.
WITH gone AS (DELETE FROM placement WHERE vintage = %(vintage)s),
     hours AS (DELETE FROM area_1h WHERE vintage = %(vintage)s)
DELETE FROM area_1d WHERE vintage = %(vintage)s

-- name: upsert_measure
-- A measure as `aggregates/areas/measures.toml` defines it.
INSERT INTO measure (measure, code, title, unit, theme, withheld)
VALUES (%(measure)s, %(code)s, %(title)s, %(unit)s, %(theme)s, %(withheld)s)
ON CONFLICT (measure) DO UPDATE SET code = excluded.code, title = excluded.title, unit = excluded.unit,
    theme = excluded.theme, withheld = excluded.withheld

-- name: read_area_boundary
-- A municipality with its boundary, of the newest vintage that has one.
SELECT code, name, geometry, derived FROM area
WHERE code = %(code)s AND geometry IS NOT NULL ORDER BY vintage DESC LIMIT 1
