-- Rules, windows and alerts, as `streams.alerts.judge` runs it.

-- name: upsert_alert_rule
-- A rule as the judging process has read it.
INSERT INTO alert_rule (rule, pack, title, title_nl, quantity, unit, level, severity, source, owner, runbook, channels)
VALUES (%(rule)s, %(pack)s, %(title)s, %(title_nl)s, %(quantity)s, %(unit)s, %(level)s, %(severity)s, %(source)s, %(owner)s,
        %(runbook)s, %(channels)s)
ON CONFLICT (rule) DO UPDATE SET pack = excluded.pack, title = excluded.title, title_nl = excluded.title_nl,
    quantity = excluded.quantity, unit = excluded.unit, level = excluded.level, severity = excluded.severity,
    source = excluded.source, owner = excluded.owner, runbook = excluded.runbook, channels = excluded.channels

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
SELECT count(*) FROM noted

-- name: list_rolled_1h
-- Sensors and hours that were rolled up, of quantities that a rule looks at.
SELECT DISTINCT s.sensor_id, d.start FROM dirty d JOIN series s USING (series)
WHERE s.quantity = ANY(%(quantities)s) AND d.start < %(until)s

-- name: list_rolled_1d
-- Sensors and days that were rolled up and are over, of quantities that a rule looks at.
SELECT sensor_id, start FROM (
    SELECT DISTINCT s.sensor_id, q.zone, date_trunc('day', d.start, q.zone) AS start
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE s.quantity = ANY(%(quantities)s)
) n WHERE ((start AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone <= %(until)s

-- name: list_judged_windows
-- Windows that rules look at, of the sensors named (null: all): stamps in us; they begin with whole seconds, which
-- date_part gives without the numerics of extract. <view> is sensor_*.
SELECT quantity, sensor_id, date_part('epoch', start)::bigint * 1000000, date_part('epoch', "end")::bigint * 1000000,
       value, coverage, valid, revision, readings, flagged, failed, warned
FROM <view>
WHERE quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s
  AND (%(sensors)s::text[] IS NULL OR sensor_id = ANY(%(sensors)s))

-- name: list_judged_windows_at
-- Windows that rules look at, of exactly these sensors and starts: where few of a large rectangle changed.
SELECT f.quantity, f.sensor_id, (extract(epoch FROM f.start) * 1000000)::bigint,
       (extract(epoch FROM f."end") * 1000000)::bigint, f.value, f.coverage, f.valid, f.revision, f.readings, f.flagged,
       f.failed, f.warned
FROM unnest(%(sensors)s::text[], %(starts)s::timestamptz[]) AS n (sensor_id, start)
CROSS JOIN LATERAL (
    SELECT * FROM <view> v
    WHERE v.sensor_id = n.sensor_id AND v.start = n.start AND v.quantity = ANY(%(quantities)s) OFFSET 0
) f

-- name: list_judged_area_windows
-- Windows of areas of the newest vintage that rules look at. <view> is area_hour or area_day.
SELECT quantity, code, (extract(epoch FROM start) * 1000000)::bigint, (extract(epoch FROM "end") * 1000000)::bigint,
       value, coverage, valid, revision, readings, flagged, failed, 0::bigint
FROM <view>
WHERE vintage = (SELECT max(vintage) FROM area) AND quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s
  AND (%(areas)s::text[] IS NULL OR code = ANY(%(areas)s))

-- name: count_stuck_readings
-- How many readings of an hour do not move, of sensors that have a flag; 272 are the two flags for it.
SELECT s.sensor_id, s.quantity, (extract(epoch FROM date_trunc('hour', r.start, 'UTC')) * 1000000)::bigint, count(*)
FROM series s JOIN reading r USING (series)
WHERE s.sensor_id = ANY(%(sensors)s) AND r.start >= %(first)s AND r.start < %(last)s AND r.flags & 272 <> 0
GROUP BY 1, 2, 3

-- name: read_class_shares
-- How much of what each sensor counted was of the classes whose channel matches: sensor, start in us, share.
SELECT a.sensor_id, (extract(epoch FROM a.start) * 1000000)::bigint,
       sum(a.value) FILTER (WHERE a.channel ~ %(classes)s) / nullif(sum(a.value), 0)
FROM aggregate_1h a
WHERE a.quantity = 'vehicle_count' AND a.sensor_id = ANY(%(sensors)s) AND a.start >= %(first)s AND a.start < %(last)s
  AND a.channel LIKE '%%/%%' AND a.channel !~ '/any$'
GROUP BY 1, 2

-- name: list_sensor_areas
-- Of these sensors: what kind they are, and the areas of the newest vintage they stand in.
SELECT n.sensor_id, n.kind, coalesce(array_agg(a.code) FILTER (WHERE a.code IS NOT NULL), '{}')
FROM sensor n
LEFT JOIN sensor_area a ON a.sensor_id = n.sensor_id AND a.vintage = (SELECT max(vintage) FROM area) AND a.until = 'infinity'
WHERE n.sensor_id = ANY(%(sensors)s)
GROUP BY n.sensor_id, n.kind

-- name: list_alerts_near
-- Alerts of these rules that a span of windows may belong to, and those just before it.
SELECT alert, rule, subject, since, until, judged, sure, value, worst, threshold, coverage, told, calm, state, late
FROM alert
WHERE rule = ANY(%(rules)s) AND NOT withdrawn AND (until IS NULL OR until > %(first)s) AND since < %(last)s
  AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))
ORDER BY since

-- name: update_alerts
-- The new state of alerts; null in `until` is one that is open.
UPDATE alert a SET state = n.state, since = n.since, until = n.until, judged = n.judged, sure = n.sure, calm = n.calm,
    told = n.told, value = n.value, worst = n.worst, threshold = n.threshold, coverage = n.coverage, late = n.late,
    withdrawn = n.withdrawn, updated_at = CASE WHEN n.said THEN %(now)s ELSE a.updated_at END,
    raised_at = CASE WHEN a.late AND NOT n.late THEN %(now)s ELSE a.raised_at END,
    cleared_at = CASE WHEN n.until IS NOT NULL THEN coalesce(a.cleared_at, %(now)s) END
FROM unnest(%(alert)s::bigint[], %(state)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[],
            %(judged)s::timestamptz[], %(sure)s::timestamptz[], %(calm)s::int[], %(told)s::float8[], %(value)s::float8[],
            %(worst)s::float8[], %(threshold)s::float8[], %(coverage)s::float8[], %(late)s::boolean[],
            %(withdrawn)s::boolean[], %(said)s::boolean[])
    AS n (alert, state, since, until, judged, sure, calm, told, value, worst, threshold, coverage, late, withdrawn, said)
WHERE a.alert = n.alert

-- name: insert_alerts
-- New alerts; returns their numbers.
INSERT INTO alert (rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst,
                   threshold, coverage, late, raised_at, updated_at, cleared_at)
SELECT n.rule, n.subject, n.quantity, n.level, n.severity, n.state, n.since, n.until, n.judged, n.sure, n.calm, n.told,
       n.value, n.worst, n.threshold, n.coverage, n.late, %(now)s, %(now)s, CASE WHEN n.until IS NOT NULL THEN %(now)s END
FROM unnest(%(rule)s::text[], %(subject)s::text[], %(quantity)s::text[], %(level)s::text[], %(severity)s::text[],
            %(state)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(judged)s::timestamptz[],
            %(sure)s::timestamptz[], %(calm)s::int[], %(told)s::float8[], %(value)s::float8[], %(worst)s::float8[],
            %(threshold)s::float8[], %(coverage)s::float8[], %(late)s::boolean[])
    AS n (rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst, threshold,
          coverage, late)
RETURNING alert, rule, subject, since

-- name: list_transition_kinds
-- The transitions that these alerts have.
SELECT alert, kind, about FROM alert_transition WHERE alert = ANY(%(alerts)s)

-- name: insert_transitions
-- Transitions with the windows that caused them, and a row in the outbox for each channel they must reach.
WITH said AS (
    INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, windows, text, text_nl)
    SELECT n.alert, n.kind, %(now)s, n.about, n.late, n.value, n.threshold, n.coverage, n.windows, n.text, n.text_nl
    FROM unnest(%(alert)s::bigint[], %(kind)s::text[], %(about)s::timestamptz[], %(late)s::boolean[], %(value)s::float8[],
                %(threshold)s::float8[], %(coverage)s::float8[], %(windows)s::jsonb[], %(text)s::text[], %(text_nl)s::text[])
        AS n (alert, kind, about, late, value, threshold, coverage, windows, text, text_nl)
    RETURNING transition, alert, kind, about
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT s.transition, c.channel, %(now)s, %(now)s
FROM said s JOIN unnest(%(to_alert)s::bigint[], %(to_kind)s::text[], %(to_about)s::timestamptz[], %(to_channel)s::text[])
    AS c (alert, kind, about, channel) ON c.alert = s.alert AND c.kind = s.kind AND c.about = s.about

-- name: list_stale_alerts
-- Open alerts that no window could be judged for since long, and those of rules that are not there any more: rule and subject.
SELECT a.rule, a.subject FROM alert a
LEFT JOIN unnest(%(rule)s::text[], %(patience)s::timestamptz[], %(forget)s::timestamptz[]) AS n (rule, patience, forget)
    USING (rule)
WHERE a.cleared_at IS NULL AND (n.patience IS NULL OR a.state = 'raised' AND a.sure <= n.patience OR a.sure <= n.forget)
