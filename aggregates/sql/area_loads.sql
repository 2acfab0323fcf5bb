SELECT vintage, municipality, part, title, origin, licence, table_id, modified, digest, loaded_at FROM area_load
WHERE (%(vintage)s::integer IS NULL OR vintage = %(vintage)s) ORDER BY vintage, municipality, part
