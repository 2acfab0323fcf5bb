-- The speed that a share of the vehicles does not exceed, as V85, over days of a kind, as `aggregates.ask.averages` runs it.

-- name: list_percentiles
-- Percentiles of some sensors over units that are a day or an hour, in the order of the list. <view> is sensor_1d or
-- sensor_1h.
WITH {units}, figure AS ({figures_of_windows}), {averages_of_units}, {vehicles_of_units} {percentiles_of_sensors}

-- name: list_percentiles_of_parts
-- Percentiles over units that are a part of a day, several hours.
WITH {units}, figure AS ({figures_of_parts}), {averages_of_units}, {vehicles_of_units} {percentiles_of_sensors}

-- name: vehicles_of_units
-- The vehicles of the units that count, by class of speed or one by one, and the speed that is asked for. Units count that are
-- valid; of single vehicles also those of which nobody knows how much of them was measured. A percentile of single vehicles
-- is the speed of one of them (nearest rank). Within a class vehicles are taken to be spread evenly, so that the vehicles below a
-- speed are a line from edge to edge; above the last edge, that of an open class, nothing is known.
counted AS MATERIALIZED (
    SELECT series, place, unit FROM part
    WHERE reason IS NULL OR reason = 'coverage not known' AND %(quantity)s = 'vehicle_speed_single'
), member AS MATERIALIZED (
    SELECT series, head FROM series
    WHERE head = ANY (%(series)s::integer[]) AND quantity IN ('vehicle_count_by_speed', 'vehicle_speed_single')
), counts AS MATERIALIZED (
    SELECT DISTINCT ON (a.head, a.start, a.channel) a.head, a.start, a.channel, a.value
    FROM (
        SELECT * FROM aggregate_1d WHERE %(level)s = '1d' UNION ALL SELECT * FROM aggregate_1h WHERE %(level)s = '1h'
    ) a
    WHERE a.series = ANY (ARRAY(SELECT series FROM member)) AND a.start >= %(first)s AND a.start <= %(last)s
      AND a.quantity = 'vehicle_count_by_speed' AND split_part(a.channel, '/', 2) NOT IN ('', 'any')
    ORDER BY a.head, a.start, a.channel, a.coverage DESC NULLS LAST, a.period
), class AS MATERIALIZED (
    SELECT c.series, c.place, min(k.channel) AS channel, e.edges[1]::float8 AS low, e.edges[2]::float8 AS high,
           sum(k.value) AS vehicles
    FROM counted c JOIN start s USING (unit) JOIN counts k ON k.head = c.series AND k.start = s.start
    CROSS JOIN LATERAL (SELECT regexp_match(split_part(k.channel, '/', 2), '^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)?$') AS edges) e
    GROUP BY c.series, c.place, low, high
), speeds AS MATERIALIZED (
    SELECT series, place, sum(vehicles) AS vehicles, array_agg(low) AS lows, array_agg(high) AS highs, array_agg(vehicles) AS counts,
           min(channel) FILTER (WHERE high IS NULL) AS open, min(channel) FILTER (WHERE low IS NULL OR high <= low) AS odd
    FROM class GROUP BY series, place
), of_classes AS MATERIALIZED (
    SELECT c.*, b.value
    FROM speeds c LEFT JOIN LATERAL (
        SELECT from_speed + (share - from_below) / (below - from_below) * (speed - from_speed) AS value
        FROM (
            SELECT e.speed, e.below, lag(e.speed) OVER s AS from_speed, lag(e.below) OVER s AS from_below,
                   %(percentile)s / 100.0 * c.vehicles AS share
            FROM (
                SELECT speed, sum(k.vehicles * least(1, greatest(0, (speed - k.low) / nullif(k.high - k.low, 0)))) AS below
                FROM (SELECT unnest(c.lows) UNION SELECT unnest(c.highs)) e (speed),
                     unnest(c.lows, c.highs, c.counts) k (low, high, vehicles)
                WHERE speed IS NOT NULL GROUP BY speed
            ) e WINDOW s AS (ORDER BY e.speed)
        ) line
        WHERE below >= share AND below > from_below ORDER BY speed LIMIT 1
    ) b ON true
), of_singles AS MATERIALIZED (
    SELECT c.series, c.place, count(*)::float8 AS vehicles,
           percentile_disc(%(percentile)s / 100.0) WITHIN GROUP (ORDER BY r.value) AS value
    FROM reading r JOIN member m USING (series) JOIN quantity q ON q.quantity = %(quantity)s
    JOIN start s ON s.start = date_trunc(CASE %(level)s WHEN '1d' THEN 'day' ELSE 'hour' END, r.start, q.zone)
    JOIN counted c ON c.series = m.head AND c.unit = s.unit
    WHERE r.series = ANY (ARRAY(SELECT series FROM member)) AND r.start >= %(first)s
      AND r.start < %(last)s::timestamptz + interval '25 hours' AND r.value IS NOT NULL AND {counts_in_figures}
      AND q.quantity = 'vehicle_speed_single'
    GROUP BY c.series, c.place
), stored AS MATERIALIZED (
    SELECT v.series, s.place, sum(v.readings) AS readings,
           sum(v.weight) FILTER (WHERE EXISTS (SELECT FROM counted c WHERE (c.series, c.unit) = (v.series, s.unit))) AS weight
    FROM {windows_of_units} GROUP BY v.series, s.place
), percentile AS MATERIALIZED (
    SELECT series, place, coalesce(c.vehicles, o.vehicles, 0) AS vehicles, coalesce(t.readings, 0) AS readings,
           coalesce(c.value, o.value) AS value, p.coverage, CASE
               WHEN %(quantity)s NOT IN ('vehicle_count_by_speed', 'vehicle_speed_single')
                   THEN 'neither vehicles by class of speed nor single vehicles: of means no percentile can be made'
               WHEN c.odd IS NOT NULL THEN format('channel %%s is no class of speed, expected as /30-40 or /70-', c.odd)
               WHEN %(quantity)s = 'vehicle_speed_single' AND coalesce(o.vehicles, 0) <> t.weight
                   THEN format('%%s readings of %%s vehicles: not one each, or no longer stored', coalesce(o.vehicles, 0), t.weight)
               WHEN coalesce(c.vehicles, o.vehicles, 0) < %(least)s
                   THEN format('%%s vehicles, expected at least %%s', coalesce(c.vehicles, o.vehicles, 0), %(least)s::integer)
               WHEN coalesce(c.value, o.value) IS NULL THEN format('it lies in the open class %%s', c.open)
               WHEN p.coverage IS NULL THEN 'coverage not known' END AS reason
    FROM (
        SELECT a.series, a.place, CASE WHEN coalesce(bool_and(p.coverage IS NOT NULL), true)
                                       THEN coalesce(sum(p.coverage), 0) / min(u.parts) END AS coverage
        FROM asked a JOIN (SELECT place, sum(parts) AS parts FROM unit GROUP BY place) u USING (place)
        LEFT JOIN part p USING (series, place) GROUP BY a.series, a.place
    ) p
    LEFT JOIN of_classes c USING (series, place) LEFT JOIN of_singles o USING (series, place)
    LEFT JOIN stored t USING (series, place)
)

-- name: percentiles_of_sensors
-- The percentiles with their sensors, those behind a key: null with a reason where nothing can be said; beside a value the
-- reason is why it is not valid.
SELECT s.sensor_id, s.quantity, CASE q.aggregation WHEN 'sum' THEN 'km/h' ELSE q.unit END, %(day_kind)s::text, a.begin, a."end", a.hour, %(percentile)s::float8,
       CASE WHEN coalesce(p.reason, 'coverage not known') = 'coverage not known' THEN p.value END,
       p.vehicles, p.readings, p.coverage, a.days, a.valid_days, p.reason IS NULL AND a.valid_days >= %(enough)s * a.days,
       p.reason, a.date, a.local_start, a.left_out, n.lon, n.lat
FROM averages a JOIN percentile p USING (series, place) JOIN series s USING (series) JOIN sensor n USING (sensor_id)
JOIN quantity q USING (quantity)
WHERE (a.rank = 1 OR NOT %(busiest)s)
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id COLLATE "C", a.begin, a.hour)
      > (%(after_sensor_id)s, %(after_start)s::timestamptz, %(after_hour)s::bigint))
ORDER BY s.sensor_id COLLATE "C", a.begin, a.hour LIMIT %(limit)s
