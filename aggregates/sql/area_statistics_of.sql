SELECT code, measure, value, attribute, unit, period, vintage, source, licence FROM area_statistics
WHERE vintage = %(vintage)s AND measure = ANY(%(measures)s) AND (%(level)s::text IS NULL OR level = %(level)s)
