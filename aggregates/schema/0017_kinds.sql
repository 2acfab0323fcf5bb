-- What is alike and what is not: values that agree, and readings of which nothing says which is right, counted.
ALTER TABLE quantity ADD COLUMN agree double precision NOT NULL DEFAULT 1;  -- two values of one multiple of it agree
ALTER TABLE accounting ADD COLUMN ambiguous bigint NOT NULL DEFAULT 0;      -- of the readings stored or corrected
