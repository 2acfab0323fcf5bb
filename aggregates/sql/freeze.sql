INSERT INTO frozen (day) VALUES (%(day)s) ON CONFLICT (day) DO NOTHING
