-- How the hub is, for `/metrics` and `stadspuls doctor`.

-- name: read_state
-- What the hub's health is judged by.
SELECT {count_dead_letters} AS dead_letters,
       (SELECT count(*) FROM mark WHERE hour < %(now)s - interval '1 hour') AS marks,
       (SELECT coalesce(extract(epoch FROM %(now)s - min(CASE WHEN made_at < %(now)s THEN greatest(hour, made_at) ELSE hour END)), 0)
        FROM mark WHERE hour < %(now)s - interval '1 hour')::float8 AS rollup_lag,
       (SELECT count(*) FROM series) AS series,
       (SELECT count(*) FROM sensor WHERE source <> 'group') AS sensors,
       (SELECT count(*) FROM sensor WHERE lon IS NULL AND source <> 'group') AS sensors_without_place,
       (SELECT count(*) FROM frozen) AS frozen_days,
       (SELECT closed_until FROM rollup) AS closed_until,
       (SELECT reconciled FROM rollup) AS reconciled

-- name: count_dead_letters
-- How many dead letters there are: exactly up to 10,000, for it is asked every few seconds; of more as the planner knows.
(SELECT CASE WHEN count(*) < 10000 THEN count(*) ELSE greatest(10000, max(reltuples))::bigint END
 FROM (SELECT FROM dead_letter LIMIT 10000) d, (SELECT reltuples FROM pg_class WHERE oid = 'dead_letter'::regclass) c)

-- name: hub_numbers
-- The numbers of the hub for `/metrics`: name, values of its labels, number.
SELECT 'readings_total' AS name, ARRAY[source, outcome] AS labels, number::float8
FROM ({sum_accounting}) a (source, received, stored, duplicate, corrected, rejected), LATERAL (VALUES
    ('received', received), ('stored', stored), ('duplicate', duplicate), ('corrected', corrected), ('rejected', rejected)
) o (outcome, number)
UNION ALL
SELECT 'alerts_open', ARRAY[severity], coalesce(count, 0)
FROM unnest(ARRAY['info', 'warning', 'critical']) s (severity) LEFT JOIN ({count_open_alerts}) o USING (severity)
UNION ALL
SELECT n.name, ARRAY[channel], number FROM ({outbox_state}) o,
    LATERAL (VALUES ('outbox_waiting', waiting), ('outbox_oldest_seconds', oldest)) n (name, number)
UNION ALL
SELECT n.name, ARRAY[]::text[], number FROM ({read_state}) state, LATERAL (VALUES
    ('dead_letters', dead_letters), ('rollup_marks', marks), ('rollup_lag_seconds', rollup_lag), ('series', series),
    ('sensors', sensors)
) n (name, number)

-- name: note_sign_of_life
-- A part of the hub is at work now.
INSERT INTO sign_of_life (part, seen_at, trouble) VALUES (%(part)s, %(now)s, %(trouble)s)
ON CONFLICT (part) DO UPDATE SET seen_at = excluded.seen_at, trouble = excluded.trouble

-- name: use_zone
-- For this transaction: stamps are written as the clock of a place shows them.
SELECT set_config('timezone', %(zone)s, true)

-- name: list_findings
-- What `doctor` says of parts, alerts and readings, a line each: what about, what was found, and whether it is good.
SELECT what, found, good FROM (
    SELECT h.* FROM ({read_state}) state CROSS JOIN LATERAL (VALUES
        (-6, 'database', format('PostgreSQL %%s%%s, edition %%s', current_setting('server_version'),
            (SELECT ', TimescaleDB ' || extversion FROM pg_extension WHERE extname = 'timescaledb'), %(edition)s::text), true),
        (-5, 'roll-up', format('closed until %%s, lag %%s s', to_char(closed_until, 'YYYY-MM-DD HH24:MI TZ'), round(rollup_lag)),
            rollup_lag < 600),
        (-4, 'proven', coalesce(to_char(reconciled, 'YYYY-MM-DD HH24:MI TZ'), 'not yet, runs nightly'), null),
        (-3, 'sensors', format('%%s with %%s series, %%s without a place', sensors, series, sensors_without_place), null),
        (-2, 'frozen days', frozen_days::text, null),
        (-1, 'dead letters', dead_letters::text, null)
    ) h (place, what, found, good)
    UNION ALL
    SELECT 1, part, format('at work %%s s ago', round(age)) || coalesce(', ' || nullif(trouble, ''), ''),
           age < 60 AND trouble = ''
    FROM (SELECT part, trouble, extract(epoch FROM %(now)s - seen_at) AS age FROM sign_of_life) p
    UNION ALL
    SELECT 2, 'alerts open', string_agg(format('%%s %%s', coalesce(o.count, 0), severity), ', ' ORDER BY s.place), null
    FROM unnest(ARRAY['info', 'warning', 'critical']) WITH ORDINALITY s (severity, place)
    LEFT JOIN ({count_open_alerts}) o USING (severity)
    UNION ALL
    SELECT 3, 'alert rule ' || coalesce(nullif(rule, ''), 'all'), format('could not judge windows of %%s from %%s to %%s: %%s', level,
           to_char(first AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'), to_char(last AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'), error), false
    FROM ({list_unjudged}) u (rule, level, numbers, first, last, error) WHERE error <> ''
    UNION ALL
    SELECT 4, 'notifier', coalesce('at work ' || round(age) || ' s ago', 'none has run yet'), age < 60
    FROM (SELECT extract(epoch FROM %(now)s - max(seen_at)) AS age FROM notifier) n
    UNION ALL
    SELECT 5, 'outbox ' || channel, format('%%s waiting, %%s held by a silence, the oldest due for %%s s', waiting, held, round(oldest))
           || coalesce(': ' || last_error, ''), oldest <= 600
    FROM ({outbox_state}) o
    UNION ALL
    SELECT 6, 'notifications of ' || channel, format('%%s of the last 24 hours lost: %%s', count(*),
           (array_agg(dropped ORDER BY transition DESC))[1]), false
    FROM outbox WHERE dropped LIKE 'not delivered%%' AND due_at > %(now)s - interval '1 day'
      AND written_at > %(now)s - interval '2 days' GROUP BY channel
    UNION ALL
    SELECT 7, 'accounting ' || source, format('%%s received = %%s stored + %%s duplicate + %%s corrected + %%s rejected', received,
           stored, duplicate, corrected, rejected), received = stored + duplicate + corrected + rejected
    FROM ({sum_accounting}) a (source, received, stored, duplicate, corrected, rejected)
    UNION ALL
    SELECT 8, 'places', format('%%s sensors stand outside the Netherlands, %%s at longitude %%s, latitude %%s', count(*),
           min(sensor_id), (array_agg(lon ORDER BY sensor_id))[1], (array_agg(lat ORDER BY sensor_id))[1]), false
    FROM sensor WHERE NOT (lon BETWEEN 3.0 AND 7.5 AND lat BETWEEN 50.5 AND 54.0) HAVING count(*) > 0
    UNION ALL
    SELECT 9, 'new sensors of ' || source, format('%%s readings refused in 24 hours, more sensors than new_sensors allows'
           ' in an hour: look who sends them, then raise it and replay', sum(count)), false
    FROM dead_letter WHERE reason LIKE 'new sensor:%%' AND last_at > %(now)s - interval '1 day' GROUP BY source
    UNION ALL
    SELECT 9, 'new series of ' || source, format('%%s readings refused in 24 hours: a sensor has as many channels as one may have:'
           ' look at dead-letters list, a name that changes does not belong in the channel', sum(count)), false
    FROM dead_letter WHERE reason LIKE 'new series:%%' AND last_at > %(now)s - interval '1 day' GROUP BY source
    UNION ALL
    -- A question takes a lock on every chunk and index of a hypertable that planning cannot leave out.
    SELECT 10, 'locks', format('max_locks_per_transaction = %%s is room for %%s, and eight questions at once may take %%s: set %%s',
           each, each * sessions, 8 * most, ceil(8.0 * most / sessions)), false
    FROM (SELECT current_setting('max_locks_per_transaction')::integer AS each,
                 current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer AS sessions,
                 max(locks) AS most
          FROM (SELECT count(DISTINCT c.oid) + count(i.indexrelid) AS locks
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indrelid = c.oid
                WHERE n.nspname = '_timescaledb_internal' AND c.relkind = 'r' AND c.relname LIKE '\_hyper\_%%'
                GROUP BY split_part(c.relname, '_', 3)) hypertables) l
    WHERE 8 * most > each * sessions
    UNION ALL
    SELECT 10, 'ambiguous of ' || source, format('%%s readings since yesterday have two values, and nothing says which is right:'
           ' look whether its format tells them apart, send a version, or set `repeated`', sum(ambiguous)), false
    FROM accounting WHERE day >= (%(now)s AT TIME ZONE 'UTC')::date - 1 GROUP BY source HAVING sum(ambiguous) > 0
    UNION ALL
    SELECT 10, what, found, good FROM policy_findings()
    UNION ALL
    {list_area_findings}
) lines ORDER BY place, what

-- name: list_positions
-- How far each partition of the log is in the store: the offset of the next record to read.
SELECT topic, partition, position FROM log_position
