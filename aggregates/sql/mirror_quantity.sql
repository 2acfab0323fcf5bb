INSERT INTO quantity (quantity, unit, aggregation, zone, coverage, memory, hours)
VALUES (%(quantity)s, %(unit)s, %(aggregation)s, %(zone)s, %(coverage)s, %(memory)s, %(hours)s)
ON CONFLICT (quantity) DO UPDATE SET unit = excluded.unit, aggregation = excluded.aggregation, zone = excluded.zone,
    coverage = excluded.coverage, memory = excluded.memory, hours = excluded.hours
