INSERT INTO area_statistic (vintage, code, measure, value, content, attribute, unit, period, table_id, modified, key)
SELECT %(vintage)s, code, measure, value, content, attribute, unit, period, %(table_id)s, %(modified)s, key
FROM unnest(%(code)s::text[], %(measure)s::text[], %(value)s::float8[], %(content)s::text[], %(attribute)s::text[],
            %(unit)s::text[], %(period)s::text[], %(key)s::text[])
     AS n (code, measure, value, content, attribute, unit, period, key)
