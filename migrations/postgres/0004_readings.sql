-- Same table as migrations/sqlite/0004_readings.sql; only the type names differ.

CREATE TABLE readings (
    reading_id  UUID             NOT NULL PRIMARY KEY,
    status      TEXT             NOT NULL CHECK (status IN ('queued', 'reading', 'stored', 'refused')),
    phase       TEXT,                      -- absent: not begun
    progress    DOUBLE PRECISION NOT NULL DEFAULT 0,
    rows_read   BIGINT           NOT NULL DEFAULT 0,
    filename    TEXT             NOT NULL,
    size_bytes  BIGINT           NOT NULL,
    dataset_id  UUID,                      -- history, not a foreign key: the reading outlives the dataset
    problem     TEXT,                      -- the document that a waiting sender would have got
    seen_at     TIMESTAMPTZ      NOT NULL, -- when its server last said that it is alive
    created_at  TIMESTAMPTZ      NOT NULL,
    started_at  TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE INDEX readings_open ON readings (seen_at) WHERE status IN ('queued', 'reading');
CREATE INDEX readings_by_age ON readings (created_at);
