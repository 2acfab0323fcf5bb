-- Windows and readings of chosen series, and the figures of areas, as `aggregates.ask` runs it.

-- name: choose_series
-- The series that a question is about, in the order of its answer; of sensor figures the series that stands for each.
SELECT s.series, s.sensor_id, CASE WHEN %(channels)s THEN s.channel ELSE '' END, s.quantity, q.unit, s.period, q.zone,
       s.alone, n.lon, n.lat
FROM series s JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
WHERE (%(channels)s OR s.series = s.head) AND (%(quantity)s::text IS NULL OR s.quantity = %(quantity)s) AND {in_scope}
ORDER BY s.sensor_id COLLATE "C", s.channel COLLATE "C", s.quantity COLLATE "C", s.period

-- name: bound_quarters
-- Say what time is asked about, for `asked_since` and `asked_until`: the 5-minute rows of quarters that start in it.
SELECT set_config('stadspuls.asked_since', %(first)s::timestamptz::text, true),
       set_config('stadspuls.asked_until', (%(last)s::timestamptz + interval '15 minutes')::text, true)

-- name: ask_windows, planned each time
-- The windows of some series; <view> is aggregate_* or sensor_*. A plan for any time would look at, and lock, all chunks.
SELECT {window_bytes}
FROM <view> v
WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start < %(last)s
  AND (%(coverage)s::float8 = 0 OR v.coverage >= %(coverage)s) AND (%(valid)s::boolean IS NULL OR v.valid = %(valid)s)

-- name: ask_windows_in_area, planned each time
-- As `ask_windows`, of what stood in an area. A plan for any area would look at all of them.
{ask_windows} AND {stood_in_area}

-- name: stood_in_area
-- Whether the sensor of a window v stood in an area at the window's start.
EXISTS (SELECT FROM series s JOIN sensor_area m USING (sensor_id)
        WHERE s.series = v.series AND m.code = %(area)s AND m.vintage = %(vintage)s
          AND v.start >= m.since AND v.start < m.until)

-- name: window_bytes
-- A window v as the bytes of `aggregates.ask.series.WINDOW`, NaN for null. Four numbers go as one segment of a line, because
-- PostgreSQL sends one in less time than four. The last is twice the status, plus one where it is valid.
int4send(v.series) || timestamptz_send(v.start)
|| lseg_send(lseg(point(coalesce(v.value, 'NaN'), coalesce(v.estimate, 'NaN')),
                  point(coalesce(v.minimum, 'NaN'), coalesce(v.maximum, 'NaN'))))
|| lseg_send(lseg(point(coalesce(v.coverage, 'NaN'), v.readings), point(v.nothing, v.flagged)))
|| lseg_send(lseg(point(v.failed, v.warned), point(v.revision, 2 * v.status + v.valid::integer))) AS bytes

-- name: ask_readings, planned each time
-- The readings of some series as the bytes of `aggregates.ask.series.READING`, NaN for null. A plan for any time would
-- look at all of it.
SELECT start, int4send(series) || timestamptz_send(start) || float8send(coalesce(value, 'NaN')) || float8send(weight)
       || float8send(coalesce(covers, 'NaN')) || int4send(flags) || int2send(status) || int8send(version)
       || timestamptz_send(received_at) AS bytes
FROM reading
WHERE series = ANY (%(series)s::integer[]) AND start >= %(first)s AND start < %(last)s

-- name: read_zone
-- The hub's zone: every quantity with civil days has it.
SELECT zone FROM quantity WHERE quantity = 'vehicle_count'

-- name: is_waiting
-- Whether figures in a range wait for the roll-up: marks of closed hours, of areas also those of the area figures. Hours
-- since `closed_until` are served from the 5-minute rows, days never are.
SELECT EXISTS (SELECT FROM mark WHERE hour >= %(first)s AND hour < r.last AND hour < CASE WHEN %(days)s
               THEN date_trunc('hour', now(), 'UTC') ELSE (SELECT closed_until FROM rollup) END)
    OR %(areas)s AND (EXISTS (SELECT FROM area_mark WHERE hour >= %(first)s AND hour < r.last)
                      OR EXISTS (SELECT FROM changed_validity WHERE NOT marked))
FROM (SELECT %(last)s::timestamptz + CASE WHEN %(days)s THEN interval '25 hours' ELSE interval '0' END AS last) r
