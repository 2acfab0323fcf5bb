SELECT coalesce(max(received_at) < %(limit)s, false)
       AND NOT EXISTS (SELECT FROM mark WHERE hour >= %(first)s AND hour < %(last)s)
FROM reading WHERE start >= %(first)s AND start < %(last)s
