vintage, code, quantity, start, sensors, valid_sensors, value, estimate, minimum, maximum, readings, flagged, failed,
coverage, valid, status, members
