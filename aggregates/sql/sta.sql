-- What SensorThings serves, as `hub.web.sta` reads it: a relation of each entity set, with its id, a column of each
-- property or part of one, and what links it to others. `hub/web/sta/entities.toml` names the columns.
--
-- A Datastream's id is 16 x the number of its series, plus its kind: 0 readings; 1, 2, 3 windows of 5 minutes, an hour and
-- a day of a channel; 5, 6, 7 those of the sensor; 4 and 8 hours and days of an area. An Observation's id is its
-- Datastream's x 2^32, plus the seconds (since 1970) at which it starts; those of a reading may have a fraction.

-- name: sta_things
-- Sensors as Things.
SELECT t.thing AS id, coalesce(n.name, n.sensor_id) AS name,
       concat_ws(', ', coalesce(n.kind, 'sensor') || ' ' || n.sensor_id, o.title) AS description,
       'sensor' AS kind, n.sensor_id, n.source, n.kind AS type, n.indoor, n.lanes, NULL::text AS code, NULL::integer AS vintage,
       NULL::text AS level, NULL::text AS municipality
FROM thing t JOIN sensor n USING (sensor_id) LEFT JOIN source o USING (source)

-- name: sta_area_things
-- Areas as Things.
SELECT t.thing AS id, a.name, concat_ws(' ', a.level, a.code, 'with the boundaries of', a.vintage) AS description,
       'area' AS kind, NULL::text AS sensor_id, NULL::text AS source, NULL::text AS type, NULL::boolean AS indoor,
       NULL::integer AS lanes, a.code, a.vintage, a.level, a.municipality
FROM thing t JOIN area a USING (vintage, code)

-- name: sta_places
-- Where sensors stood, each from when until when: Locations, HistoricalLocations and FeaturesOfInterest. A sensor's first
-- place is since ever; it is known since it was registered.
SELECT p.place AS id, t.thing, p.since, coalesce(u.until, {sta_ever}) AS until, u.until IS NULL AS current, coalesce(n.name, n.sensor_id) AS name,
       'where ' || n.sensor_id || ' stands' AS description, 'application/geo+json' AS "encodingType",
       {sta_point_bytes} AS shape, point(p.lon, p.lat) AS point,
       CASE WHEN p.since < '1970-01-01' THEN n.registered_at ELSE p.since END AS "time"
FROM sensor_place p JOIN sensor n USING (sensor_id) JOIN thing t USING (sensor_id)
CROSS JOIN LATERAL (SELECT min(l.since) AS until
                    FROM sensor_place l WHERE l.sensor_id = p.sensor_id AND l.since > p.since) u

-- name: sta_area_places
-- The boundaries of areas, as `sta_places`.
SELECT t.thing AS id, t.thing, '1900-01-01 00:00+00'::timestamptz AS since, {sta_ever} AS until, true AS current, a.name,
       'the boundary of ' || a.code AS description, 'application/geo+json' AS "encodingType", a.geometry AS shape,
       NULL::point AS point, make_timestamptz(a.vintage, 1, 1, 0, 0, 0) AS "time"
FROM thing t JOIN area a USING (vintage, code) WHERE a.geometry IS NOT NULL

-- name: sta_ever
-- Until when what has no end holds.
'9999-01-01 00:00+00'::timestamptz

-- name: sta_point_bytes
-- The place p as a point of well-known bytes.
'\x0000000001'::bytea || float8send(p.lon) || float8send(p.lat)

-- name: sta_sensors
-- Who measures: the suppliers that sensors are of.
SELECT o.number AS id, o.title AS name, o.title || ': ' || o.class AS description, 'text/plain' AS "encodingType",
       'licence: ' || o.licence AS metadata, o.source, o.class, o.licence, o.commercial_use
FROM source o WHERE EXISTS (SELECT FROM sensor n WHERE n.source = o.source)

-- name: sta_area_sensors
-- Of areas it is the hub.
SELECT 0 AS id, 'Areas' AS name, 'the sum or mean of the valid sensors that stand in an area' AS description,
       'text/plain' AS "encodingType", 'licence: those of the sources of the sensors' AS metadata, NULL::text AS source,
       NULL::text AS class, NULL::text AS licence, NULL::boolean AS commercial_use
WHERE EXISTS (SELECT FROM area_series)

-- name: sta_properties
-- What is measured.
SELECT q.number AS id, q.quantity AS name, {sta_definition} AS definition, q.quantity || ' in ' || q.unit AS description,
       q.aggregation, q.unit, q.zone
FROM quantity q WHERE q.quantity IN (SELECT quantity FROM series)

-- name: sta_definition
-- Where the vocabulary of a quantity q says what it is: the air pollutants of the EEA, and quantity kinds of QUDT.
replace(replace(q.term, 'eea:', 'http://dd.eionet.europa.eu/vocabulary/aq/pollutant/'),
        'qudt:', 'http://qudt.org/vocab/quantitykind/')

-- name: sta_datastreams
-- What a sensor or a channel says about a quantity, at a level.
SELECT s.series::bigint << 4 | k.kind AS id, s.series, k.kind, t.thing, o.number AS sensor, q.number AS property,
       concat_ws(' ', s.quantity, k.level, 'of', n.sensor_id, c.channel) AS name,
       concat_ws(' ', s.quantity || ',', k.about, 'of', coalesce(n.name, n.sensor_id), c.channel) AS description, {sta_unit_of},
       {sta_measurement}, CASE WHEN n.lon IS NOT NULL THEN '\x0000000001'::bytea || float8send(n.lon) || float8send(n.lat) END AS shape,
       point(n.lon, n.lat) AS point, w.first, w.until,
       k.level, coalesce(c.channel, '') AS channel, s.period, q.aggregation, s.quantity, n.sensor_id, n.source, o.licence
FROM series s JOIN sensor n USING (sensor_id) JOIN thing t USING (sensor_id) JOIN quantity q USING (quantity)
LEFT JOIN source o ON o.source = n.source LEFT JOIN {sta_units} USING (unit)
CROSS JOIN LATERAL (SELECT {sta_first_hour} AS first, {sta_last_hour} AS until OFFSET 0) w
JOIN {sta_kinds} ON CASE WHEN k.kind < 4 THEN k.kind = 0 OR NOT s.alone AND s.period <= k.length
    ELSE s.series = s.head AND CASE WHEN s.alone THEN s.period <= k.length
                                    ELSE coalesce(n.channels, o.channels, ARRAY[q.channels]) <> ARRAY['separate'] END END
CROSS JOIN LATERAL (SELECT CASE WHEN k.kind < 4 THEN nullif(s.channel, '') END AS channel) c
WHERE k.kind NOT IN (4, 8)

-- name: sta_area_datastreams
-- What an area says about a quantity, at a level.
SELECT s.series::bigint << 4 | k.kind AS id, s.series, k.kind, t.thing, 0 AS sensor, q.number AS property,
       concat_ws(' ', s.quantity, k.level, 'of', s.code, s.vintage) AS name,
       concat_ws(' ', s.quantity || ',', k.about, 'of', a.name) AS description, {sta_unit_of}, {sta_measurement},
       a.geometry AS shape, NULL::point AS point,
       (SELECT min(w.start) FROM area_1h w WHERE (w.vintage, w.code, w.quantity) = (s.vintage, s.code, s.quantity)) AS first,
       (SELECT max(w.start) + interval '1 hour' FROM area_1h w
        WHERE (w.vintage, w.code, w.quantity) = (s.vintage, s.code, s.quantity)) AS until,
       k.level, '' AS channel, NULL::integer AS period, q.aggregation, s.quantity, NULL::text AS sensor_id,
       NULL::text AS source, NULL::text AS licence
FROM area_series s JOIN area a USING (vintage, code) JOIN thing t USING (vintage, code) JOIN quantity q USING (quantity)
LEFT JOIN {sta_units} USING (unit) JOIN {sta_kinds} ON k.kind IN (4, 8)

-- name: sta_kinds
-- The kinds of Datastreams, with the longest period that they may be of.
(VALUES (0, 'raw', 'readings', 0), (1, '5m', 'five minutes', 300), (2, '1h', 'hours', 3600), (3, '1d', 'days', 86400),
        (4, '1h', 'hours', 3600), (5, '5m', 'five minutes', 300), (6, '1h', 'hours', 3600), (7, '1d', 'days', 86400),
        (8, '1d', 'days', 86400)) k (kind, level, about, length)

-- name: sta_units
-- The units of the registry as UCUM has them.
(VALUES ('1', 'count', '1'), ('%%', 'per cent', '%%'), ('km/h', 'kilometre per hour', 'km/h'),
        ('ug/m3', 'microgram per cubic metre', 'ug/m3'), ('mg/m3', 'milligram per cubic metre', 'mg/m3'),
        ('1/cm3', 'per cubic centimetre', '1/cm3'), ('degC', 'degree Celsius', 'Cel'), ('hPa', 'hectopascal', 'hPa'),
        ('dB(A)', 'A-weighted decibel', 'dB[SPL]'), ('m', 'metre', 'm'), ('V', 'volt', 'V')) u (unit, unit_name, ucum)

-- name: sta_unit_of
-- The unit of a Datastream; its definition is OGC's name of the UCUM code.
coalesce(u.unit_name, q.unit) AS unit_name, coalesce(u.ucum, q.unit) AS symbol,
'http://www.opengis.net/def/uom/UCUM/0/' || replace(coalesce(u.ucum, q.unit), '%%', '%%25') AS unit_definition

-- name: sta_measurement
-- The kind of its Observations.
'http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement' AS "observationType"

-- name: sta_first_hour
-- When the first hour, else the first day, of a series s begins.
coalesce((SELECT min(w.start) FROM window_1h w WHERE w.series = s.series),
         (SELECT min(w.start) FROM window_1d w WHERE w.series = s.series))

-- name: sta_last_hour
-- When the last hour, else the last day, of a series s ends.
coalesce((SELECT max(w.start) + interval '1 hour' FROM window_1h w WHERE w.series = s.series),
         (SELECT max(w.start) + interval '1 day' FROM window_1d w WHERE w.series = s.series))

-- name: sta_readings
-- Readings as they are stored, as Observations.
SELECT trim_scale((v.series::bigint << 36) + extract(epoch FROM v.start)) AS id, v.series, 0 AS kind, v.start,
       v.start + s.period * interval '1 second' AS until, v.value AS result,
       v.received_at AS "resultTime", v.covers / nullif(s.period, 0) AS coverage, NULL::boolean AS valid, {sta_status},
       CASE WHEN v.value IS NULL THEN 0 ELSE 1 END AS readings, NULL::bigint AS flagged, NULL::bigint AS failed,
       ARRAY(SELECT f.name FROM unnest(ARRAY['source_error', 'out_of_range', 'calibration', 'spike', 'stuck', 'inconsistent',
             'ambiguous', 'suspect_spike', 'suspect_stuck', 'dead', 'suspect_dead', 'unfinished', 'conflict'])
             WITH ORDINALITY AS f (name, bit) WHERE v.flags >> (f.bit::integer - 1) & 1 = 1) AS flags,
       NULL::float8 AS estimate, NULL::float8 AS minimum, NULL::float8 AS maximum, NULL::integer AS revision, t.thing
FROM reading v JOIN series s USING (series) LEFT JOIN thing t USING (sensor_id)

-- name: sta_windows
-- Windows of sensors or channels as Observations; <view> is sensor_* or aggregate_*.
SELECT {sta_observation_id}, v.start, v."end" AS until, v.value AS result, v.computed_at AS "resultTime", v.coverage, v.valid,
       {sta_status}, v.readings, v.flagged::bigint AS flagged, v.failed::bigint AS failed, NULL::text[] AS flags, v.estimate, v.minimum,
       v.maximum, v.revision, t.thing
FROM <view> v LEFT JOIN thing t USING (sensor_id)

-- name: sta_area_windows
-- Windows of areas as Observations; <view> is area_hour or area_day.
SELECT {sta_observation_id}, v.start, v."end" AS until, v.value AS result, v.computed_at AS "resultTime", v.coverage, v.valid,
       NULL::text AS status, v.readings::integer AS readings, v.flagged, v.failed, NULL::text[] AS flags, v.estimate, v.minimum,
       v.maximum, v.revision, t.thing
FROM (SELECT * FROM <view> JOIN area_series USING (vintage, code, quantity)) v LEFT JOIN thing t USING (vintage, code)

-- name: sta_observation_id
-- The id of an Observation v of a Datastream of <kind>.
(v.series::bigint << 4 | <kind>) << 32 | extract(epoch FROM v.start)::bigint AS id, v.series, <kind> AS kind

-- name: sta_status
-- The status of a window or reading v by name.
(ARRAY['provisional', 'validated'])[v.status + 1] AS status

-- name: begin_to_send
-- Whoever chooses by another filter gets what is computed from now on.
INSERT INTO sta_sent AS s (filter, computed_at, series, start) VALUES (%(filter)s, %(settled)s, 0, '1900-01-01 00:00+00')
ON CONFLICT (single) DO UPDATE SET filter = excluded.filter, computed_at = excluded.computed_at, series = excluded.series,
    start = excluded.start WHERE s.filter <> excluded.filter

-- name: note_sent
-- Everything up to this hour was sent.
UPDATE sta_sent SET computed_at = %(computed_at)s, series = %(series)s, start = %(start)s

-- name: skip_sent, planned each time
-- Where nothing at all was computed so far behind the last one that was sent, go on behind that.
UPDATE sta_sent SET computed_at = {reached}, series = 0, start = '1900-01-01 00:00+00'
WHERE {reached} < %(settled)s AND NOT EXISTS (SELECT FROM ({computed_hours}) c)

-- name: computed_hours
-- The hours of series and areas that were computed behind the last one that was sent, as far as one looks.
SELECT w.computed_at, w.series, w.start, w.start >= (SELECT closed_until FROM rollup) AS waits
FROM window_1h w WHERE {is_behind} AND (w.computed_at, w.series, w.start) > (SELECT computed_at, series, start FROM sta_sent)
UNION ALL
SELECT w.computed_at, a.series, w.start, false FROM area_1h w JOIN area_series a USING (vintage, code, quantity)
WHERE {is_behind} AND (w.computed_at, a.series, w.start) > (SELECT computed_at, series, start FROM sta_sent)

-- name: reached
-- How far one looks: to a settled moment, and of a long time only to a part of it.
least(%(settled)s, (SELECT computed_at FROM sta_sent) + %(reach)s)

-- name: list_updated, planned each time
-- Those hours, at most so many in the order in which they were computed; each with the Datastreams and Observations that it
-- makes: of channel, sensor, groups or area, hour and day. An hour that is served from 5-minute rows until it is closed keeps those behind it waiting.
WITH changed AS MATERIALIZED (
    {computed_hours}
), due AS (
    SELECT * FROM changed
    WHERE computed_at < coalesce((SELECT min(computed_at) FROM changed WHERE waits), 'infinity')
    ORDER BY computed_at, series, start LIMIT %(most)s
)
SELECT o.series::bigint << 4 | k.kind AS stream,
       (o.series::bigint << 4 | k.kind) << 32 | extract(epoch FROM k.start)::bigint AS observation, d.computed_at, d.series, d.start
FROM due d
CROSS JOIN LATERAL (
    SELECT s.series, s.quantity, 2, 3 FROM series s WHERE s.series = d.series
    UNION ALL SELECT s.head, s.quantity, 6, 7 FROM series s WHERE s.series = d.series AND s.head IS NOT NULL
    UNION ALL SELECT h.series, h.quantity, 6, 7 FROM group_part p JOIN series h ON h.series = p.head WHERE p.series = d.series
    UNION ALL SELECT a.series, a.quantity, 4, 8 FROM area_series a WHERE a.series = d.series
) o (series, quantity, hour, day)
JOIN quantity q USING (quantity)
CROSS JOIN LATERAL (VALUES (o.hour, d.start), (o.day, date_trunc('day', d.start, q.zone))) k (kind, start)
ORDER BY d.computed_at, d.series, d.start

-- name: is_behind
-- Whether a window w is about as new as those that are asked for: by what an index has.
w.computed_at >= (SELECT computed_at FROM sta_sent) AND w.computed_at <= {reached}
