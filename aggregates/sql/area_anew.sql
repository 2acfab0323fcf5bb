sensors = excluded.sensors, valid_sensors = excluded.valid_sensors, value = excluded.value, estimate = excluded.estimate,
minimum = excluded.minimum, maximum = excluded.maximum, readings = excluded.readings, flagged = excluded.flagged,
failed = excluded.failed, coverage = excluded.coverage, valid = excluded.valid, status = excluded.status,
members = excluded.members, computed_at = now(), revision = a.revision + 1
