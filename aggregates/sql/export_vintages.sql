SELECT DISTINCT vintage FROM area_load ORDER BY vintage
