-- Air-quality indices: the bands that index_view.sql makes them of.

CREATE TABLE index_band (        -- a mirror of ingest/vocabulary/air_index.toml
    index    text NOT NULL,      -- lki, eaqi
    quantity text NOT NULL,
    band     integer NOT NULL,
    above    double precision NOT NULL,
    upto     double precision NOT NULL,
    plus_one boolean NOT NULL,   -- all substances agree: one more
    PRIMARY KEY (index, quantity, band)
);
