-- The marks of the oldest closed hours, about `most` of them but never part of an hour's: delete what this statement sees,
-- then (in a later one) read the 5-minute rows.
WITH taken AS (
    DELETE FROM mark WHERE hour <= (
        SELECT max(hour) FROM (
            SELECT hour, sum(sum(cardinality(members))) OVER (ORDER BY hour) - sum(cardinality(members)) AS before
            FROM mark WHERE hour < %(until)s GROUP BY hour
        ) m WHERE before < %(most)s
    ) RETURNING hour, members
)
INSERT INTO dirty (series, start)
SELECT DISTINCT unnest(members), hour FROM taken
