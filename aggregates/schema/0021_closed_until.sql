-- Until when hours are closed, as a constant of the plan: TimescaleDB looks at no chunk that a constant excludes, and at
-- all of them for a subquery. It is no constant, but grows: a plan that keeps an older one finds the same figures in the
-- 5-minute rows, more slowly.
CREATE FUNCTION closed_until() RETURNS timestamptz IMMUTABLE LANGUAGE sql RETURN (SELECT r.closed_until FROM rollup r);
