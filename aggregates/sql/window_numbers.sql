-- A window v as numbers alone, NaN for null.
v.series, v.start, coalesce(v.value, 'NaN') AS value, coalesce(v.estimate, 'NaN') AS estimate,
coalesce(v.minimum, 'NaN') AS minimum, coalesce(v.maximum, 'NaN') AS maximum, coalesce(v.coverage, 'NaN') AS coverage,
v.readings::integer AS readings, v.nothing::integer AS nothing, v.flagged::integer AS flagged, v.failed::integer AS failed,
v.warned::integer AS warned, v.revision, v.status, v.valid
