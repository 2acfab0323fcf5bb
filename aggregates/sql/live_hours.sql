-- The hours of one sensor since `recent`, and those of the same weekday since `first`; <view> is sensor_1h.
SELECT start, value, estimate, coverage, valid, nothing, flagged, failed, warned
FROM <view>
WHERE sensor_id = %(sensor)s AND quantity = %(quantity)s AND start >= %(first)s AND start <= %(now)s
  AND (start >= %(recent)s OR extract(isodow FROM start AT TIME ZONE %(zone)s) = %(weekday)s)
ORDER BY start
