-- Rules, windows and alerts, as `streams.alerts.judge` runs it.

-- name: upsert_alert_rules
-- The rules as the judging process has read them; those that it no longer has are kept for the titles of their alerts.
WITH given AS (
    SELECT * FROM json_populate_recordset(NULL::alert_rule, %(rows)s::json)
), gone AS (
    UPDATE alert_rule SET judged = false WHERE judged AND rule NOT IN (SELECT rule FROM given)
)
INSERT INTO alert_rule (rule, pack, title, title_nl, quantity, unit, level, severity, source, owner, runbook, channels)
SELECT rule, pack, title, coalesce(nullif(title_nl, ''), title), quantity, unit, level, severity, nullif(source, ''),
       nullif(owner, ''), nullif(runbook, ''), channels
FROM given
ON CONFLICT (rule) DO UPDATE SET pack = excluded.pack, title = excluded.title, title_nl = excluded.title_nl,
    quantity = excluded.quantity, unit = excluded.unit, level = excluded.level, severity = excluded.severity,
    source = excluded.source, owner = excluded.owner, runbook = excluded.runbook, channels = excluded.channels, judged = true

-- name: lock_alerts
-- One at a time changes alerts; what was committed before the lock was given is seen by the next statement.
SELECT pg_advisory_xact_lock(hashtext('stadspuls alerts'))

-- name: clear_orphaned_alerts
-- Open alerts of rules that are not there any more are cleared, and every channel that has or gets a transition of one gets
-- this one.
WITH gone AS (
    UPDATE alert SET state = 'cleared', until = %(now)s, cleared_at = %(now)s, updated_at = %(now)s
    WHERE cleared_at IS NULL AND rule <> ALL(%(rules)s::text[])
    RETURNING alert, value, threshold, coverage, late
), noted AS (
    INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, text, text_nl)
    SELECT alert, 'cleared', %(now)s, %(now)s, late, value, threshold, coverage,
           'its rule was removed or renamed: nothing judges this any more',
           'de regel is weggehaald of hernoemd: dit wordt niet meer beoordeeld'
    FROM gone ORDER BY alert
    RETURNING transition, alert
), queued AS (
    INSERT INTO outbox (transition, channel, written_at, due_at)
    SELECT DISTINCT n.transition, o.channel, %(now)s::timestamptz, %(now)s::timestamptz
    FROM noted n JOIN alert_transition t USING (alert) JOIN outbox o ON o.transition = t.transition
    WHERE o.dropped IS NULL
)
SELECT FROM noted

-- name: list_rolled_1h
-- Sensors and hours that were rolled up, of quantities that a rule looks at: of each UTC day the first and the last, for what
-- is between them is read with them (`streams.alerts.frames.BLOCK`).
SELECT DISTINCT sensor_id, unnest(ARRAY[first, last]) FROM ({rolled_series}) r

-- name: list_rolled_1d
-- Sensors and days that were rolled up and are over, of quantities that a rule looks at. Days that have just ended are judged
-- together, by the clock.
SELECT sensor_id, start FROM (
    SELECT DISTINCT sensor_id, zone, date_trunc('day', unnest(ARRAY[first, last]), zone) AS start FROM ({rolled_series}) r
) n WHERE day_end(start, zone)
          <= least(%(until)s, (SELECT judged FROM alert_clock WHERE level = '1d'))

-- name: rolled_series
-- The dirty hours of sensors, and of the groups that they are part of: the first and the last of each UTC day.
SELECT s.sensor_id, q.zone, d.first, d.last
FROM (SELECT series, min(start) AS first, max(start) AS last
      FROM (SELECT series, start FROM dirty UNION ALL SELECT head, start FROM dirty_sensor) d
      WHERE start < %(until)s GROUP BY series, date_bin('1 day', start, 'epoch')) d
JOIN series s USING (series) JOIN quantity q USING (quantity) WHERE quantity = ANY(%(quantities)s)

-- name: list_judged_windows
-- Windows that rules look at, of the sensors named (null: all): stamps in us; they begin with whole seconds, which
-- date_part gives without the numerics of extract. <view> is sensor_*.
SELECT {judged_columns}
FROM <view> f CROSS JOIN LATERAL ({bounds}) w
WHERE quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s AND {within_bounds}
  AND (%(subjects)s::text[] IS NULL OR sensor_id = ANY(%(subjects)s))

-- name: list_judged_windows_of_spans
-- Those of some spans, each with its sensors: where few of one large rectangle are looked at.
SELECT {judged_columns}
FROM json_to_recordset(%(spans)s::json) AS n (first timestamptz, last timestamptz, subjects text[])
CROSS JOIN LATERAL (
    SELECT * FROM <view> v
    WHERE v.sensor_id = ANY(n.subjects) AND v.start >= n.first AND v.start < n.last
      AND v.start >= %(first)s AND v.start < %(last)s AND v.quantity = ANY(%(quantities)s) OFFSET 0
) f CROSS JOIN LATERAL ({bounds}) w
WHERE {within_bounds}

-- name: list_judged_area_windows
-- Windows of areas of the newest vintage that rules look at. <view> is area_hour or area_day.
SELECT {judged_columns}
FROM (
    SELECT *, code AS sensor_id, 0::bigint AS warned FROM <view>
    WHERE vintage = (SELECT max(vintage) FROM area) AND quantity = ANY(%(quantities)s) AND start >= %(first)s
      AND start < %(last)s AND (%(subjects)s::text[] IS NULL OR code = ANY(%(subjects)s))
) f CROSS JOIN LATERAL ({bounds}) w
WHERE {within_bounds}

-- name: judged_columns
-- What a rule looks at of a window f.
quantity, f.sensor_id, date_part('epoch', f.start)::bigint * 1000000, date_part('epoch', f."end")::bigint * 1000000, f.value,
f.coverage, f.valid, f.revision, f.readings, f.flagged, f.failed, f.warned

-- name: bounds
-- The bounds of a window f, by the place of its quantity: a join would compare each window with the bounds of all.
SELECT (%(whole)s::timestamptz[])[at] AS whole, (%(above)s::float8[])[at] AS above, (%(below)s::float8[])[at] AS below
FROM (SELECT array_position(%(quantities)s::text[], f.quantity) AS at OFFSET 0) p

-- name: within_bounds
-- Whether a window f may be beyond a threshold.
(f.start >= w.whole OR f.value >= w.above OR f.value <= w.below OR f.flagged + f.failed + f.warned > 0)

-- name: count_flagged_readings, planned each time
-- How many readings of some hours, whose starts are given in us, have one of some flags: looked up hour by hour, for the planner
-- would read all readings that it knows nothing of.
SELECT h.sensor_id, h.quantity, h.start, count(*)
FROM unnest(%(subject)s::text[], %(quantity)s::text[], %(start)s::bigint[]) AS h (sensor_id, quantity, start)
JOIN series s USING (sensor_id, quantity)
CROSS JOIN LATERAL (SELECT timestamptz 'epoch' + h.start * interval '1 microsecond' AS start) t
CROSS JOIN LATERAL (
    SELECT FROM reading r WHERE r.series = s.series AND r.start >= t.start AND r.start < t.start + interval '1 hour'
    AND r.start >= %(first)s AND r.start < %(last)s AND r.flags & %(flags)s <> 0 OFFSET 0
) r
GROUP BY 1, 2, 3

-- name: read_class_shares, planned each time
-- How much of what each sensor counted was of the classes whose channel matches: sensor, quantity, start in us, share.
SELECT a.sensor_id, a.quantity, (extract(epoch FROM a.start) * 1000000)::bigint,
       sum(a.value) FILTER (WHERE a.channel ~ %(classes)s) / nullif(sum(a.value), 0)
FROM aggregate_1h a
WHERE a.quantity = 'vehicle_count' AND a.sensor_id = ANY(%(sensors)s) AND a.start >= %(first)s AND a.start < %(last)s
  AND a.channel LIKE '%%/%%' AND a.channel !~ '/any$'
GROUP BY 1, 2, 3

-- name: list_sensor_areas
-- Of these sensors: what kind they are, whether they are indoors, and the areas of the newest vintage they stand in.
SELECT n.sensor_id, n.kind, n.indoor IS true, coalesce(array_agg(a.code) FILTER (WHERE a.code IS NOT NULL), '{}')
FROM sensor n
LEFT JOIN sensor_area a ON a.sensor_id = n.sensor_id AND a.vintage = (SELECT max(vintage) FROM area) AND a.until = 'infinity'
WHERE n.sensor_id = ANY(%(sensors)s)
GROUP BY n.sensor_id

-- name: list_alerts_near, planned each time
-- Alerts of these rules that a span of windows may belong to, and those just before it, with the columns of an `Episode`:
-- stamps in us, NaN for null, and for an end that is not known yet a stamp that never comes.
SELECT rule, subject, (extract(epoch FROM since) * 1000000)::bigint, (extract(epoch FROM judged) * 1000000)::bigint,
       (extract(epoch FROM sure) * 1000000)::bigint, coalesce(value, 'NaN'), coalesce(worst, 'NaN'), threshold,
       coalesce(coverage, 'NaN'), coalesce(told, 'NaN'), calm, state = 'cannot_judge',
       coalesce((extract(epoch FROM until) * 1000000)::bigint, 250000000000000000), alert, late
FROM alert a
WHERE rule = ANY(%(rules)s) AND NOT withdrawn AND (until IS NULL OR until > %(first)s) AND a.since < %(last)s
  AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))
ORDER BY a.since

-- name: update_alerts
-- The new state of alerts; null in `until` is one that is open.
UPDATE alert a SET state = n.state, since = n.since, until = n.until, judged = n.judged, sure = n.sure, calm = n.calm,
    told = n.told, value = n.value, worst = n.worst, threshold = n.threshold, coverage = n.coverage, late = n.late,
    withdrawn = n.withdrawn, updated_at = CASE WHEN n.said THEN %(now)s ELSE a.updated_at END,
    raised_at = CASE WHEN a.late AND NOT n.late THEN %(now)s ELSE a.raised_at END,
    cleared_at = CASE WHEN n.until IS NOT NULL THEN coalesce(a.cleared_at, %(now)s) END
FROM ({written_alerts}) n
WHERE a.alert = n.alert

-- name: written_alerts
-- The rows of alerts that are written: stamps come in us.
SELECT alert, rule, subject, quantity, level, severity, state, to_timestamp(since / 1e6) AS since,
       to_timestamp(nullif(until, 250000000000000000) / 1e6) AS until, to_timestamp(judged / 1e6) AS judged,
       to_timestamp(sure / 1e6) AS sure, calm, told, value, worst, threshold, coverage, late, withdrawn, said
FROM json_to_recordset(%(rows)s::json)
    AS r (alert bigint, rule text, subject text, quantity text, level text, severity text, state text, since bigint, until bigint,
          judged bigint, sure bigint, calm int, told float8, value float8, worst float8, threshold float8, coverage float8,
          late boolean, withdrawn boolean, said boolean)

-- name: insert_alerts
-- New alerts; returns their numbers.
INSERT INTO alert (rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst,
                   threshold, coverage, late, raised_at, updated_at, cleared_at)
SELECT rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst, threshold,
       coverage, late, %(now)s, %(now)s, CASE WHEN until IS NOT NULL THEN %(now)s END
FROM ({written_alerts}) n
RETURNING alert, rule, subject, since

-- name: list_transition_kinds
-- The transitions that these alerts have.
SELECT alert, kind, about FROM alert_transition WHERE alert = ANY(%(alerts)s)

-- name: insert_transitions
-- Transitions with the windows that caused them, and a row in the outbox for each channel they must reach.
WITH new AS (
    SELECT * FROM json_to_recordset(%(rows)s::json)
        AS n (alert bigint, kind text, about timestamptz, late boolean, value float8, threshold float8, coverage float8,
              windows jsonb, text text, text_nl text, channels text[])
), said AS (
    INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, windows, text, text_nl)
    SELECT alert, kind, %(now)s, about, late, value, threshold, coverage, windows, text, text_nl FROM new
    RETURNING transition, alert, kind, about
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT s.transition, c.channel, %(now)s, %(now)s
FROM said s JOIN new n USING (alert, kind, about) CROSS JOIN unnest(n.channels) AS c (channel)

-- name: list_stale_alerts
-- Open alerts that no window could be judged for since long, and those of rules that are not there any more: rule and subject.
SELECT a.rule, a.subject FROM alert a
LEFT JOIN unnest(%(rule)s::text[], %(patience)s::timestamptz[], %(forget)s::timestamptz[]) AS n (rule, patience, forget)
    USING (rule)
WHERE a.cleared_at IS NULL AND (n.patience IS NULL OR a.state = 'raised' AND a.sure <= n.patience OR a.sure <= n.forget)
