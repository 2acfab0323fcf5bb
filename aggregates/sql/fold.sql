-- A window's evidence from its readings r: the SQL twin of streams.commit.windows.fold. 31 is EXCLUDES, 480 the warnings.
count(r.value) FILTER (WHERE r.flags & 31 = 0) AS readings,
count(*) FILTER (WHERE r.value IS NULL AND r.series IS NOT NULL AND r.flags & 31 = 0) AS nothing,
count(r.value) FILTER (WHERE r.flags & 31 <> 0) AS flagged,
count(*) FILTER (WHERE r.value IS NULL AND r.flags & 31 <> 0) AS failed,
count(*) FILTER (WHERE r.flags & 31 = 0 AND r.flags & 480 <> 0) AS warned,
coalesce(sum(r.value) FILTER (WHERE r.flags & 31 = 0), 0) AS total,
coalesce(sum(r.weight) FILTER (WHERE r.value IS NOT NULL AND r.flags & 31 = 0), 0) AS weight,
coalesce(sum(r.weight * r.value) FILTER (WHERE r.flags & 31 = 0), 0) AS weighted,
coalesce(sum(r.value * r.value) FILTER (WHERE r.flags & 31 = 0), 0) AS squares,
coalesce(sum(r.weight / greatest(r.value, 1)) FILTER (WHERE r.value IS NOT NULL AND r.flags & 31 = 0), 0) AS harmonic,
min(r.value) FILTER (WHERE r.flags & 31 = 0) AS minimum,
max(r.value) FILTER (WHERE r.flags & 31 = 0) AS maximum,
CASE WHEN coalesce(bool_and(r.covers IS NOT NULL) FILTER (WHERE r.flags & 31 = 0), true)
     THEN coalesce(sum(r.covers) FILTER (WHERE r.flags & 31 = 0), 0) END AS covered,
coalesce(min(r.status), 1) AS status
