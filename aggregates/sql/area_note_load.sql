INSERT INTO area_load (vintage, municipality, part, title, origin, licence, table_id, modified, digest)
VALUES (%(vintage)s, %(municipality)s, %(part)s, %(title)s, %(origin)s, %(licence)s, %(table_id)s, %(modified)s, %(digest)s)
ON CONFLICT (vintage, municipality, part) DO UPDATE SET title = excluded.title, origin = excluded.origin,
    licence = excluded.licence, table_id = excluded.table_id, modified = excluded.modified, digest = excluded.digest,
    loaded_at = now()
