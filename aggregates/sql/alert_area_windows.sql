-- Windows of areas of the newest vintage that rules look at. <view> is area_hour or area_day.
SELECT quantity, code, (extract(epoch FROM start) * 1000000)::bigint, (extract(epoch FROM "end") * 1000000)::bigint,
       value, coverage, valid, revision, readings, flagged, failed, 0::bigint
FROM <view>
WHERE vintage = (SELECT max(vintage) FROM area) AND quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s
  AND (%(areas)s::text[] IS NULL OR code = ANY(%(areas)s))
