-- The memory of a gateway's job, opened with its transaction begun.

PRAGMA journal_mode = WAL;

-- What was published; `met` is when a measurement was last seen in an answer, s since 1970.
CREATE TABLE IF NOT EXISTS published (key TEXT PRIMARY KEY, mark TEXT NOT NULL, met INTEGER NOT NULL) WITHOUT ROWID;

-- What else is to be known over a restart, as JSON.
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

BEGIN IMMEDIATE;
