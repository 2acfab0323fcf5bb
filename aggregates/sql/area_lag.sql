SELECT count(*), (SELECT count(*) FROM area_load) FROM area_mark
