-- Messages that their source names and that are stamped on receipt: when each was received first.
CREATE TABLE message_identity (
    identity text PRIMARY KEY,
    first_at timestamptz NOT NULL
);
