-- Whoever sends notifications hears of new ones at once, and need not ask all the time (hub.run.notifying).
CREATE FUNCTION tell_notifiers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY stadspuls_outbox;
    RETURN NULL;
END $$;
-- For each row, so that a statement that writes none tells nobody; a transaction tells once.
CREATE TRIGGER tell_notifiers AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION tell_notifiers();
