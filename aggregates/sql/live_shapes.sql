-- Areas of one level of the newest vintage.
SELECT code, name, geometry FROM area
WHERE vintage = (SELECT max(vintage) FROM area) AND level = %(level)s ORDER BY code
