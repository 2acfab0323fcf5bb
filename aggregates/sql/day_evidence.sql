-- The days d (series, start, "end") of a quantity from their hours w, with the hours that are valid by themselves.
SELECT d.series, d.start, {sum_up},
       (count(*) FILTER (WHERE coalesce(w.covered / 3600 >= d.coverage, false)))::integer AS valid_hours
FROM days d JOIN window_1h w ON w.series = d.series AND w.start >= d.start AND w.start < d."end"
GROUP BY d.series, d.start
