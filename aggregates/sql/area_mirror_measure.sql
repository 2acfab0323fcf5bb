INSERT INTO measure (measure, code, title, unit, theme, withheld)
VALUES (%(measure)s, %(code)s, %(title)s, %(unit)s, %(theme)s, %(withheld)s)
ON CONFLICT (measure) DO UPDATE SET code = excluded.code, title = excluded.title, unit = excluded.unit,
    theme = excluded.theme, withheld = excluded.withheld
