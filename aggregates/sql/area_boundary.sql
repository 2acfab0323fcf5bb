-- A municipality with its boundary, of the newest vintage that has one.
SELECT code, name, geometry, derived FROM area
WHERE code = %(code)s AND geometry IS NOT NULL ORDER BY vintage DESC LIMIT 1
