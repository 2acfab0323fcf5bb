SELECT encode(key, 'hex'), source, topic, payload, size, reason, count, first_at, last_at
FROM dead_letter
WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(reason)s::text IS NULL OR strpos(reason, %(reason)s) > 0)
ORDER BY last_at DESC, key LIMIT %(limit)s
