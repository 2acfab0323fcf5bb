INSERT INTO digest (channel, day, sent_at) VALUES (%(channel)s, %(day)s, %(now)s) ON CONFLICT DO NOTHING
