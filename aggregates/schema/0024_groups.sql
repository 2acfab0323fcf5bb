-- Groups: sensors that are made of lanes and directions of other sensors, at hour and day.

CREATE TABLE sensor_group (      -- as `stadspuls groups import` read them
    name       text PRIMARY KEY, -- its sensor is group/<name>
    title      text NOT NULL,
    quantities text[],           -- null: all that its members measure
    area       text              -- a code: whatever stands in it is a member as well
);

CREATE TABLE group_member (
    name      text NOT NULL REFERENCES sensor_group ON DELETE CASCADE,
    sensor_id text NOT NULL,
    lane      text NOT NULL,     -- lane or direction, the first part of a channel; empty: the whole sensor
    sign      smallint NOT NULL, -- of sums; -1: what leaves
    PRIMARY KEY (name, sensor_id, lane)
);

-- The series that the figures of a group are made of by now; `head` is its own series of the quantity. When they change,
-- its evidence is deleted, and made anew by the roll-up as that of a sensor whose lanes changed.
CREATE TABLE group_part (
    head   integer NOT NULL REFERENCES series ON DELETE CASCADE,
    series integer NOT NULL REFERENCES series,
    lane   text NOT NULL,
    sign   smallint NOT NULL,
    PRIMARY KEY (head, series, lane, sign)
);
CREATE INDEX ON group_part (series);
