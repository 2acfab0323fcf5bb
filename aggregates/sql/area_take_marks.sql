-- The marks of the oldest marked day and one quantity of it: delete what this statement sees, read the figures later.
WITH oldest AS (
    SELECT quantity, date_trunc('day', hour, 'UTC') AS day FROM area_mark ORDER BY hour LIMIT 1
), taken AS (
    DELETE FROM area_mark m USING oldest o
    WHERE m.quantity = o.quantity AND m.hour >= o.day AND m.hour < o.day + interval '1 day' RETURNING m.quantity, m.hour
)
SELECT t.quantity, min(t.hour), max(t.hour), date_trunc('day', min(t.hour), min(q.zone)),
       date_trunc('day', max(t.hour), min(q.zone))
FROM taken t JOIN quantity q USING (quantity) GROUP BY t.quantity
