-- What sensors counted, at each level: stored where a sensor has more than one series, for a year of twelve lanes is read
-- row by row then. Those with several series are asked for by themselves, as those with one are. Hours that are not closed are
-- made of 5-minute rows, but those of groups, which have none.

CREATE VIEW sensor_several_5m AS
SELECT * FROM sensor_computed_5m;

CREATE VIEW sensor_several_15m AS
SELECT * FROM sensor_computed_15m;

CREATE VIEW sensor_several_1h AS
SELECT * FROM sensor_computed_1h
UNION ALL
SELECT {sensor_figures}
FROM (SELECT {stored_evidence}, w.start + interval '1 hour' AS "end"
      FROM {stored_sensors} JOIN sensor_evidence_1h w ON {is_stored}
      WHERE w.start < closed_until() OR n.source = 'group') f
CROSS JOIN LATERAL ({stored_lanes}) e;

CREATE VIEW sensor_several_1d AS
SELECT * FROM sensor_computed_1d
UNION ALL
SELECT {sensor_figures}
FROM (SELECT {stored_evidence}, day_end(w.start, q.zone) AS "end"
      FROM {stored_sensors} JOIN sensor_evidence_1d w ON {is_stored}) f
CROSS JOIN LATERAL ({stored_lanes}) e;

CREATE VIEW sensor_5m AS
SELECT * FROM sensor_alone_5m UNION ALL SELECT * FROM sensor_several_5m;

CREATE VIEW sensor_15m AS
SELECT * FROM sensor_alone_15m UNION ALL SELECT * FROM sensor_several_15m;

CREATE VIEW sensor_1h AS
SELECT * FROM sensor_alone_1h UNION ALL SELECT * FROM sensor_several_1h;

CREATE VIEW sensor_1d AS
SELECT * FROM sensor_alone_1d UNION ALL SELECT * FROM sensor_several_1d;
