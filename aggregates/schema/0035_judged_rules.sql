-- Whether a rule of the mirror still stands in a rule file: alerts of one that does not keep its title and unit.
ALTER TABLE alert_rule ADD COLUMN judged boolean NOT NULL DEFAULT true;
