-- Same table as migrations/sqlite/0003_predictions.sql; only the type names differ.
-- Files that are answered in the background. model_id is history, not a foreign key: what was
-- answered stays when its model goes.
CREATE TABLE predictions (
    prediction_id    UUID        NOT NULL PRIMARY KEY,
    model_id         UUID        NOT NULL,
    filename         TEXT        NOT NULL,
    request          TEXT        NOT NULL,
    status           TEXT        NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    rows             BIGINT,                        -- absent until the file has been read
    rows_done        BIGINT      NOT NULL DEFAULT 0,
    rows_outside     BIGINT      NOT NULL DEFAULT 0, -- of the domain of the model
    file_bytes       BIGINT      NOT NULL,          -- of the file that was sent
    size_bytes       BIGINT,                        -- of the answer, once there is one
    sha256           TEXT,
    error            TEXT,
    attempt          BIGINT      NOT NULL DEFAULT 0, -- counts claims; with lease_owner, the fencing token
    crashes          BIGINT      NOT NULL DEFAULT 0, -- claims whose lease ran out
    lease_owner      UUID,
    lease_until      TIMESTAMPTZ,
    cancel_requested BOOLEAN     NOT NULL DEFAULT FALSE,
    created_at       TIMESTAMPTZ NOT NULL,
    started_at       TIMESTAMPTZ,
    finished_at      TIMESTAMPTZ
);
CREATE INDEX predictions_by_age ON predictions (created_at, prediction_id);
CREATE INDEX predictions_queued ON predictions (created_at, prediction_id) WHERE status = 'queued';
CREATE INDEX predictions_leased ON predictions (lease_until) WHERE status = 'running';
