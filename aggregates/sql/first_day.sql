SELECT (min(start) AT TIME ZONE 'UTC')::date FROM window_1d
