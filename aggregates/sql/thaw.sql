-- Unfreeze the days of a range and delete their aggregates; days of quantities that only touch it are made anew.
WITH thawed AS (
    DELETE FROM frozen WHERE day >= %(first)s AND day < %(last)s RETURNING day
), short AS (
    DELETE FROM window_5m WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed)
    AND start >= %(first)s::timestamp AT TIME ZONE 'UTC' AND start < %(last)s::timestamp AT TIME ZONE 'UTC'
), hours AS (
    DELETE FROM window_1h WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed) RETURNING series, start
), days AS (
    DELETE FROM window_1d w USING series s JOIN quantity q USING (quantity)
    WHERE w.series = s.series AND (w.series, w.start) IN (
        SELECT h.series, date_trunc('day', h.start, q2.zone)
        FROM hours h JOIN series s2 USING (series) JOIN quantity q2 USING (quantity))
), again AS (
    INSERT INTO mark (hour, members)
    SELECT h.start, array_agg(h.series) FROM window_1h h JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE (h.start AT TIME ZONE 'UTC')::date NOT IN (SELECT day FROM thawed)
      AND (h.series, date_trunc('day', h.start, q.zone)) IN (
          SELECT x.series, date_trunc('day', x.start, q3.zone)
          FROM hours x JOIN series s3 USING (series) JOIN quantity q3 USING (quantity))
    GROUP BY h.start
), areas AS (
    INSERT INTO area_mark (hour, quantity)
    SELECT DISTINCT h.start, s.quantity FROM hours h JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)
)
SELECT day FROM thawed ORDER BY day
