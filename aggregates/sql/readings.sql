-- The readings of some series as the bytes of `aggregates.ask.rawreadings.READ`, NaN for null.
SELECT start, int4send(series) || timestamptz_send(start) || float8send(coalesce(value, 'NaN')) || float8send(weight)
       || float8send(coalesce(covers, 'NaN')) || int4send(flags) || int2send(status) || int8send(version)
       || timestamptz_send(received_at) AS bytes
FROM reading
WHERE series = ANY (%(series)s::integer[]) AND start >= %(first)s AND start < %(last)s
