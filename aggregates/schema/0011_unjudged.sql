-- Windows that alert rules could not judge, because judging failed: they are judged again later.
CREATE TABLE unjudged (
    unjudged bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule     text NOT NULL,         -- '': all rules of the level
    level    text NOT NULL,
    first    timestamptz NOT NULL,  -- start of the first window
    last     timestamptz NOT NULL,  -- and of the last
    error    text NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);
