SELECT coalesce(%(vintage)s::integer, max(vintage)) FROM area WHERE code = %(area)s
