-- Until when a place holds is stored, and an area of any level finds its sensors by an index, as a sensor finds its areas.
ALTER TABLE placement ADD COLUMN until timestamptz NOT NULL DEFAULT 'infinity';
UPDATE placement p SET until = n.until
FROM (SELECT vintage, sensor_id, since, lead(since) OVER (PARTITION BY vintage, sensor_id ORDER BY since) AS until
      FROM placement) n
WHERE (n.vintage, n.sensor_id, n.since) = (p.vintage, p.sensor_id, p.since) AND n.until IS NOT NULL;
CREATE INDEX placement_area ON placement (vintage, code);
CREATE INDEX placement_wijk ON placement (vintage, ('WK' || substr(code, 3, 6))) WHERE code LIKE 'BU%';
CREATE INDEX placement_gemeente ON placement (vintage, ('GM' || substr(code, 3, 4))) WHERE code NOT LIKE 'GM%';

CREATE OR REPLACE VIEW sensor_area AS
SELECT p.vintage, a.code, a.level, p.sensor_id, p.since, p.until, p.status
FROM (
    SELECT vintage, sensor_id, since, until, status, code FROM placement
    UNION ALL
    SELECT vintage, sensor_id, since, until, status, 'WK' || substr(code, 3, 6) FROM placement WHERE code LIKE 'BU%'
    UNION ALL
    SELECT vintage, sensor_id, since, until, status, 'GM' || substr(code, 3, 4) FROM placement WHERE code NOT LIKE 'GM%'
) p
JOIN sensor n ON n.sensor_id = p.sensor_id AND n.indoor IS NOT true
JOIN area a ON a.vintage = p.vintage AND a.code = p.code;

-- What is asked for by when it was written, or by the newest, reads no whole table.
CREATE INDEX area_1h_computed_at ON area_1h USING brin (computed_at) WITH (autosummarize = on);
CREATE INDEX dead_letter_last_at ON dead_letter (last_at DESC, (encode(key, 'hex')) DESC);
