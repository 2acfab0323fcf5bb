-- The CBS statistics of one area, by theme; a null has its reason.
SELECT theme, title, measure, value, unit, period, attribute, content, source, licence
FROM area_statistics WHERE code = %(code)s AND vintage = %(vintage)s AND title IS NOT NULL ORDER BY theme, title
