-- The time that a transaction asks about, or all of it: views of quarters of an hour read only its 5-minute rows. Constants
-- of a plan, as `closed_until` is, so that no other chunk is looked at: who sets them plans each statement anew.
CREATE FUNCTION asked_since() RETURNS timestamptz IMMUTABLE LANGUAGE sql
RETURN coalesce(nullif(current_setting('stadspuls.asked_since', true), '')::timestamptz, '-infinity');
CREATE FUNCTION asked_until() RETURNS timestamptz IMMUTABLE LANGUAGE sql
RETURN coalesce(nullif(current_setting('stadspuls.asked_until', true), '')::timestamptz, 'infinity');
