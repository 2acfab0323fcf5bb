-- When a civil day ends that begins at a moment in a time zone, 23 to 25 hours later. A plan has the expression in its place.
CREATE FUNCTION day_end(start timestamptz, zone text) RETURNS timestamptz IMMUTABLE PARALLEL SAFE LANGUAGE sql
RETURN ((start AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone;
