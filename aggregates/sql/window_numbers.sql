-- A window v as numbers alone, NaN for null, in the order of `aggregates.query.WINDOW`. Four go as one segment of a line,
-- because PostgreSQL sends a column of four numbers in little more time than a column of one. `state` is twice the status,
-- plus one where it is valid.
v.series, v.start,
lseg(point(coalesce(v.value, 'NaN'), coalesce(v.estimate, 'NaN')), point(coalesce(v.minimum, 'NaN'), coalesce(v.maximum, 'NaN')))
    AS figures,
lseg(point(coalesce(v.coverage, 'NaN'), v.readings), point(v.nothing, v.flagged)) AS covered,
lseg(point(v.failed, v.warned), point(v.revision, 2 * v.status + v.valid::integer)) AS telling
