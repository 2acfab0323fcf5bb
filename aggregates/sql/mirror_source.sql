INSERT INTO source (source, title, class, licence, commercial_use)
VALUES (%(source)s, %(title)s, %(class_)s, %(licence)s, %(commercial_use)s)
ON CONFLICT (source) DO UPDATE SET title = excluded.title, class = excluded.class, licence = excluded.licence,
    commercial_use = excluded.commercial_use
