INSERT INTO area (vintage, code, level, name, municipality, change, derived, geometry)
SELECT %(vintage)s, code, level, name, %(municipality)s, change, derived, geometry
FROM unnest(%(code)s::text[], %(level)s::text[], %(name)s::text[], %(change)s::text[], %(derived)s::bool[],
            %(geometry)s::bytea[]) AS n (code, level, name, change, derived, geometry)
