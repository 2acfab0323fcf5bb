DELETE FROM reading WHERE start >= %(first)s AND start < %(last)s
