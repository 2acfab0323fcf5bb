-- Boundaries and statistics of a vintage into the store, as `aggregates.areas.load` runs it.

-- name: lock_areas
-- One load, assignment or join of areas at a time.
SELECT pg_advisory_xact_lock(hashtext('stadspuls areas'))

-- name: list_area_loads
-- What is loaded, of one vintage or of all.
SELECT vintage, municipality, part, title, origin, licence, table_id, modified, digest, loaded_at FROM area_load
WHERE (%(vintage)s::integer IS NULL OR vintage = %(vintage)s) ORDER BY vintage, municipality, part

-- name: clear_boundaries
-- Before the boundaries of a municipality are written again.
UPDATE area SET geometry = NULL, derived = false WHERE vintage = %(vintage)s AND municipality = %(municipality)s

-- name: upsert_boundaries
-- The areas that a map has; a map without names has codes in their place, which do not replace a name.
INSERT INTO area AS a (vintage, code, level, name, municipality, derived, geometry)
SELECT %(vintage)s, code, level, name, %(municipality)s, derived, geometry
FROM unnest(%(code)s::text[], %(level)s::text[], %(name)s::text[], %(derived)s::bool[], %(geometry)s::bytea[])
     AS n (code, level, name, derived, geometry)
ON CONFLICT (vintage, code) DO UPDATE SET name = CASE WHEN excluded.name = a.code THEN a.name ELSE excluded.name END,
    derived = excluded.derived, geometry = excluded.geometry

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

-- name: upsert_areas_with_statistics
-- The areas that a table of statistics has; the name on a map is kept.
INSERT INTO area AS a (vintage, code, level, name, municipality)
SELECT %(vintage)s, code, level, name, %(municipality)s
FROM unnest(%(code)s::text[], %(level)s::text[], %(name)s::text[]) AS n (code, level, name)
ON CONFLICT (vintage, code) DO UPDATE SET
    name = CASE WHEN a.geometry IS NULL OR a.name = a.code THEN excluded.name ELSE a.name END

-- name: delete_areas_without_content
-- What has neither a boundary nor statistics is no area of this vintage any more.
DELETE FROM area a
WHERE vintage = %(vintage)s AND municipality = %(municipality)s AND geometry IS NULL
  AND NOT EXISTS (SELECT FROM area_statistic s WHERE s.vintage = a.vintage AND s.code = a.code)

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

-- name: upsert_measures
-- The measures as `aggregates/areas/measures.toml` defines them.
INSERT INTO measure (measure, code, title, unit, theme, withheld)
SELECT * FROM unnest(%(name)s::text[], %(code)s::text[], %(title)s::text[], %(unit)s::text[], %(theme)s::text[],
                     %(withheld)s::text[])
ON CONFLICT (measure) DO UPDATE SET code = excluded.code, title = excluded.title, unit = excluded.unit,
    theme = excluded.theme, withheld = excluded.withheld

-- name: read_area_boundary
-- A municipality with its boundary, of the newest vintage that has one.
SELECT code, name, geometry, derived FROM area
WHERE code = %(code)s AND geometry IS NOT NULL ORDER BY vintage DESC LIMIT 1
