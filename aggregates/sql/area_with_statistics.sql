SELECT DISTINCT code FROM area_statistic WHERE vintage = %(vintage)s AND 'GM' || substr(code, 3, 4) = %(municipality)s
