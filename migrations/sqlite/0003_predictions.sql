-- Same table as migrations/postgres/0003_predictions.sql; only the type names differ.
-- Files that are answered in the background. model_id is history, not a foreign key: what was
-- answered stays when its model goes.
CREATE TABLE predictions (
    prediction_id    BLOB    NOT NULL PRIMARY KEY,
    model_id         BLOB    NOT NULL,
    filename         TEXT    NOT NULL,
    request          TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    rows             INTEGER,                    -- absent until the file has been read
    rows_done        INTEGER NOT NULL DEFAULT 0,
    rows_outside     INTEGER NOT NULL DEFAULT 0, -- of the domain of the model
    file_bytes       INTEGER NOT NULL,           -- of the file that was sent
    size_bytes       INTEGER,                    -- of the answer, once there is one
    sha256           TEXT,
    error            TEXT,
    attempt          INTEGER NOT NULL DEFAULT 0, -- counts claims; with lease_owner, the fencing token
    crashes          INTEGER NOT NULL DEFAULT 0, -- claims whose lease ran out
    lease_owner      BLOB,
    lease_until      TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at       TEXT    NOT NULL,
    started_at       TEXT,
    finished_at      TEXT
) STRICT;
CREATE INDEX predictions_by_age ON predictions (created_at, prediction_id);
CREATE INDEX predictions_queued ON predictions (created_at, prediction_id) WHERE status = 'queued';
CREATE INDEX predictions_leased ON predictions (lease_until) WHERE status = 'running';
