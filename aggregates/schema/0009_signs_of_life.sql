-- When each part of the hub that works in the background was last at work, and what did not work: for `stadspuls doctor`.
CREATE TABLE sign_of_life (
    part    text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    trouble text NOT NULL          -- empty while it works
);
