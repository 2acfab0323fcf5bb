-- Append hours to be rolled up again, each with its members.
INSERT INTO mark (hour, members)
SELECT hour, members::integer[] FROM unnest(%(hour)s::timestamptz[], %(members)s::text[]) AS n (hour, members)
