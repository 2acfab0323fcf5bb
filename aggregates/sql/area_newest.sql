SELECT max(vintage) FROM area
