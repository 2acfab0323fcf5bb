INSERT INTO notifier (seen_at, channels) VALUES (%(now)s, %(channels)s)
ON CONFLICT (single) DO UPDATE SET seen_at = excluded.seen_at, channels = excluded.channels
