-- The levels of the newest vintage's areas that have a boundary.
SELECT DISTINCT level FROM area WHERE geometry IS NOT NULL AND vintage = (SELECT max(vintage) FROM area)
