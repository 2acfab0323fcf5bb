-- What moves when something was committed that the live page shows: one cheap row.
SELECT (SELECT coalesce(sum(received), 0)::bigint FROM accounting) AS received,
       (SELECT closed_until FROM rollup) AS closed_until,
       (SELECT last_value FROM catalogue_version) AS catalogue,
       (SELECT min(mark) FROM mark) AS oldest_mark, (SELECT max(mark) FROM mark) AS newest_mark,
       (SELECT min(hour) FROM area_mark) AS oldest_area_hour, (SELECT max(loaded_at) FROM area_load) AS areas_loaded
