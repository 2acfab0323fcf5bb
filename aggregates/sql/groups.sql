-- Groups of sensors: their import, and of which series they are made by now. `streams.rollup.rollup` makes their evidence.

-- name: delete_groups
-- Groups that a new import no longer has, with all that was made of them.
WITH gone AS (DELETE FROM sensor_group WHERE name <> ALL(%(names)s::text[]) RETURNING 'group/' || name AS sensor_id),
hours AS (DELETE FROM sensor_evidence_1h e USING series s JOIN gone USING (sensor_id) WHERE e.head = s.series),
days AS (DELETE FROM sensor_evidence_1d e USING series s JOIN gone USING (sensor_id) WHERE e.head = s.series),
quantities AS (DELETE FROM series WHERE sensor_id IN (SELECT sensor_id FROM gone))
DELETE FROM sensor WHERE sensor_id IN (SELECT sensor_id FROM gone)

-- name: upsert_group
-- A group, and the sensor that its figures are asked for by.
WITH made AS (
    INSERT INTO sensor_group (name, title, quantities, area)
    VALUES (%(name)s, %(title)s, %(quantities)s::text[], %(area)s::text)
    ON CONFLICT (name) DO UPDATE SET title = excluded.title, quantities = excluded.quantities, area = excluded.area
)
INSERT INTO sensor (sensor_id, source, name, kind, channels, catalogued)
VALUES ('group/' || %(name)s, 'group', %(title)s, 'group', ARRAY['lanes'], true)
ON CONFLICT (sensor_id) DO UPDATE SET name = excluded.name

-- name: delete_group_members
-- Its members as they were.
DELETE FROM group_member WHERE name = %(name)s

-- name: insert_group_members
-- Its members as they are.
INSERT INTO group_member (name, sensor_id, lane, sign)
SELECT %(name)s, * FROM unnest(%(sensor)s::text[], %(lane)s::text[], %(sign)s::smallint[])

-- name: has_groups
-- Whether there is any group.
SELECT EXISTS (SELECT FROM sensor_group)

-- name: resolve_groups
-- The series that groups are made of, and those that stand for them; where these change, the evidence is made anew. A conflict
-- would spend a number of a series each time.
INSERT INTO series (sensor_id, quantity, channel, period)
SELECT DISTINCT 'group/' || name, quantity, '', 3600 FROM ({wanted_parts}) w
WHERE NOT EXISTS (SELECT FROM series s WHERE s.sensor_id = 'group/' || w.name AND s.quantity = w.quantity)
ON CONFLICT DO NOTHING;
UPDATE series SET head = series WHERE head IS NULL AND sensor_id IN (SELECT 'group/' || name FROM sensor_group);
WITH wanted AS (
    SELECT g.series AS head, w.series, w.lane, w.sign
    FROM ({wanted_parts}) w JOIN series g ON g.sensor_id = 'group/' || w.name AND g.quantity = w.quantity
), gone AS (
    DELETE FROM group_part p WHERE (head, series, lane, sign) NOT IN (SELECT * FROM wanted) RETURNING head
), come AS (
    INSERT INTO group_part SELECT * FROM wanted EXCEPT SELECT * FROM group_part RETURNING head
), changed AS (
    SELECT head FROM gone UNION SELECT head FROM come
), hours AS (
    DELETE FROM sensor_evidence_1h WHERE head IN (SELECT head FROM changed)
), days AS (
    DELETE FROM sensor_evidence_1d WHERE head IN (SELECT head FROM changed)
)
UPDATE series SET stored = false WHERE series IN (SELECT head FROM changed);

-- name: wanted_parts
-- Of which series groups are made now; only sums have a sign. A sensor with several separate channels, of which there is no
-- figure, is a part by one that is named alone.
SELECT DISTINCT g.name, s.quantity, s.series, m.lane, CASE q.aggregation WHEN 'sum' THEN m.sign ELSE 1 END::smallint AS sign
FROM sensor_group g
CROSS JOIN LATERAL (
    SELECT sensor_id, lane, sign FROM group_member WHERE name = g.name
    UNION
    SELECT a.sensor_id, '', 1 FROM sensor_area a
    WHERE a.code = g.area AND a.until = 'infinity' AND a.vintage = (SELECT max(vintage) FROM area WHERE code = g.area)
) m
JOIN series s ON s.sensor_id = m.sensor_id AND s.head IS NOT NULL AND s.period <= 3600
    AND (m.lane = '' OR split_part(s.channel, '/', 1) = m.lane)
JOIN quantity q USING (quantity) JOIN sensor k ON k.sensor_id = s.sensor_id LEFT JOIN source c ON c.source = k.source
WHERE (g.quantities IS NULL OR s.quantity = ANY(g.quantities))
  AND (m.lane <> '' OR (coalesce(k.channels, c.channels, ARRAY[q.channels]))[1] <> 'separate' OR (
      SELECT count(DISTINCT o.channel) = 1 FROM series o
      WHERE o.sensor_id = s.sensor_id AND o.quantity = s.quantity AND o.head IS NOT NULL))

-- name: parts_of_groups
-- These series as if they were lanes of a sensor that is the group, and of a member with alternatives still those.
SELECT p.series, p.sign, g.head, g.sensor_id, g.quantity, s.head || ':' || s.channel AS channel, s.period, g.alone, g.stored,
       ARRAY(SELECT CASE WHEN {has_alternatives} THEN s.head || ':' || name ELSE 'lanes' END
             FROM unnest(coalesce(k.channels, c.channels, ARRAY['lanes'])) WITH ORDINALITY u (name, at) ORDER BY at) AS combined
FROM group_part p JOIN series s USING (series) JOIN series g ON g.series = p.head
JOIN sensor k ON k.sensor_id = s.sensor_id LEFT JOIN source c ON c.source = k.source

-- name: has_alternatives
-- Whether the channels of a sensor k of a source c are alternatives.
coalesce((coalesce(k.channels, c.channels))[1] NOT IN ('lanes', 'separate'), false)

-- name: signed_evidence
-- The evidence of a window w, as a part of the group's.
w.start, w.readings, w.nothing, w.flagged, w.failed, w.warned, p.sign * w.total AS total, w.weight, w.weighted, w.harmonic,
w.minimum, w.maximum, w.covered, w.status, w.revision, w.computed_at, false AS running

-- name: rolled_group_hours
-- As `rolled_hours`, of the parts of groups.
SELECT {series_figures}
FROM ({parts_of_groups}) s
JOIN (SELECT p.head, w.series, {signed_evidence}, w.start + interval '1 hour' AS "end", 3600 AS length, 0 AS valid_hours
      FROM group_part p JOIN window_1h w USING (series)) w USING (head, series)
JOIN quantity q USING (quantity) {combined_as_members}

-- name: rolled_group_days
-- As `rolled_days`, of the parts of groups.
SELECT {series_figures}
FROM ({parts_of_groups}) s
JOIN (SELECT p.head, w.series, {signed_evidence}, e."end", extract(epoch FROM e."end" - w.start)::integer AS length, w.valid_hours
      FROM group_part p JOIN window_1d w USING (series) JOIN series g ON g.series = p.head
      JOIN quantity q ON q.quantity = g.quantity
      CROSS JOIN LATERAL (
          SELECT day_end(w.start, q.zone) AS "end" OFFSET 0
      ) e) w USING (head, series)
JOIN quantity q USING (quantity) {combined_as_members}

-- name: combined_as_members
-- In the place of a sensor n and its source o: the channels of a part of a group combine as those of its sensor do.
CROSS JOIN LATERAL (SELECT NULL::integer AS lanes, s.combined AS channels) n
CROSS JOIN LATERAL (SELECT s.combined AS channels) o

-- name: lanes_of_group
-- How many lanes are expected of a group's series h: of each member one where it has alternatives, else those asked for, else
-- all of it, else what the catalogue or its one channel says; where the quantity is named, also one of each member of which
-- nothing is a part of it.
SELECT CASE WHEN bool_and(m.lanes IS NOT NULL) THEN sum(m.lanes)::integer END
FROM (
    SELECT coalesce(CASE WHEN bool_or({has_alternatives}) THEN 1 END, nullif(count(DISTINCT nullif(p.lane, '')), 0),
                    CASE WHEN bool_or(s.channel = '') THEN 1 END, min(k.lanes),
                    CASE WHEN count(DISTINCT s.channel) = 1 THEN 1 END) AS lanes
    FROM group_part p JOIN series s USING (series) JOIN sensor k USING (sensor_id) LEFT JOIN source c USING (source)
    WHERE p.head = h.series GROUP BY s.sensor_id
    UNION ALL
    SELECT 1 FROM group_member m JOIN sensor_group t USING (name)
    WHERE 'group/' || t.name = h.sensor_id AND h.quantity = ANY(t.quantities)
      AND NOT EXISTS (SELECT FROM group_part p JOIN series s USING (series)
                      WHERE p.head = h.series AND s.sensor_id = m.sensor_id AND p.lane = m.lane)
) m

-- name: list_groups
-- Groups by name, how many sensors they have by now, and what they are made of by name.
SELECT g.name, g.title, g.quantities, g.area, (
    SELECT count(DISTINCT s.sensor_id) FROM series h JOIN group_part p ON p.head = h.series JOIN series s ON s.series = p.series
    WHERE h.sensor_id = 'group/' || g.name), array(
    SELECT CASE WHEN m.sign < 0 THEN '-' ELSE '' END || m.sensor_id || rtrim(' ' || m.lane) FROM group_member m
    WHERE m.name = g.name ORDER BY m.sensor_id, m.lane)
FROM sensor_group g
WHERE %(after_group)s::text IS NULL OR g.name > %(after_group)s
ORDER BY g.name LIMIT %(limit)s
