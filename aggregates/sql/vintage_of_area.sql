-- The year of the boundaries of an area: the one asked for, else the newest that has it.
coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area WHERE code = %(area)s))
