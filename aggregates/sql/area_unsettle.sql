-- The boundaries of a vintage changed: its sensors are placed anew, and all its figures made again.
WITH gone AS (DELETE FROM placement WHERE vintage = %(vintage)s),
     hours AS (DELETE FROM area_1h WHERE vintage = %(vintage)s)
DELETE FROM area_1d WHERE vintage = %(vintage)s
