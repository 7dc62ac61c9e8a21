-- Same table as migrations/postgres/0004_readings.sql; only the type names differ.
-- An upload that is read while its sender does not wait. Nothing is promised before it is stored:
-- one whose server is gone ends as refused, and the file has to be sent again.
CREATE TABLE readings (
    reading_id  BLOB    NOT NULL PRIMARY KEY,
    status      TEXT    NOT NULL CHECK (status IN ('queued', 'reading', 'stored', 'refused')),
    phase       TEXT,             -- absent: not begun
    progress    REAL    NOT NULL DEFAULT 0,
    rows_read   INTEGER NOT NULL DEFAULT 0,
    filename    TEXT    NOT NULL,
    size_bytes  INTEGER NOT NULL,
    dataset_id  BLOB,             -- history, not a foreign key: the reading outlives the dataset
    problem     TEXT,             -- the document that a waiting sender would have got
    seen_at     TEXT    NOT NULL, -- when its server last said that it is alive
    created_at  TEXT    NOT NULL,
    started_at  TEXT,
    finished_at TEXT
) STRICT;
CREATE INDEX readings_open ON readings (seen_at) WHERE status IN ('queued', 'reading');
CREATE INDEX readings_by_age ON readings (created_at);
