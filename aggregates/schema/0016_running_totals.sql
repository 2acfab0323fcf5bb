-- What a counter had counted by then, of sources that send running totals: readings are the differences.
CREATE TABLE running_total (
    series integer NOT NULL REFERENCES series,
    at     timestamptz NOT NULL,
    total  double precision NOT NULL,
    PRIMARY KEY (series, at)
);
