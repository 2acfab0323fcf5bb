-- Dead letters, the newest first.
SELECT encode(key, 'hex') AS key, source, topic, reason, count, first_at, last_at, size, payload
FROM dead_letter
WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(reason)s::text IS NULL OR strpos(reason, %(reason)s) > 0)
  AND (%(after_last_at)s::timestamptz IS NULL
       OR (last_at, encode(key, 'hex')) < (%(after_last_at)s, %(after_key)s::text))
ORDER BY last_at DESC, encode(key, 'hex') DESC LIMIT %(limit)s
