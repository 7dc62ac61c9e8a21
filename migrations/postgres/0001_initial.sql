-- Same tables as migrations/sqlite/0001_initial.sql; only the type names differ.
-- Structured documents are JSON text and not jsonb, which would lose the order of their keys.

CREATE TABLE datasets (
    dataset_id          UUID        NOT NULL PRIMARY KEY,
    name                TEXT        NOT NULL,
    filename            TEXT        NOT NULL,
    sha256              TEXT        NOT NULL,
    size_bytes          BIGINT      NOT NULL,
    description         TEXT        NOT NULL,
    options             TEXT        NOT NULL,
    options_fingerprint TEXT        NOT NULL,
    rows                BIGINT      NOT NULL,
    created_at          TIMESTAMPTZ NOT NULL
);
CREATE INDEX datasets_by_age ON datasets (created_at, dataset_id);
CREATE INDEX datasets_by_content ON datasets (sha256, options_fingerprint);

-- dataset_id and model_id are history, not foreign keys: a training outlives both.
CREATE TABLE trainings (
    training_id      UUID             NOT NULL PRIMARY KEY,
    dataset_id       UUID             NOT NULL,
    model_name       TEXT             NOT NULL,
    tags             TEXT             NOT NULL,
    request          TEXT             NOT NULL,
    status           TEXT             NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    progress         DOUBLE PRECISION NOT NULL DEFAULT 0,
    message          TEXT             NOT NULL DEFAULT '',
    eta_s            DOUBLE PRECISION,
    model_id         UUID,
    error            TEXT,
    warnings         TEXT             NOT NULL,
    stopped          TEXT,
    attempt          BIGINT           NOT NULL DEFAULT 0, -- counts claims; with lease_owner, the fencing token
    crashes          BIGINT           NOT NULL DEFAULT 0, -- claims whose lease ran out since the last checkpoint
    lease_owner      UUID,
    lease_until      TIMESTAMPTZ,
    cancel_requested BOOLEAN          NOT NULL DEFAULT FALSE,
    checkpoint       TEXT,
    created_at       TIMESTAMPTZ      NOT NULL,
    started_at       TIMESTAMPTZ,
    finished_at      TIMESTAMPTZ
);
CREATE INDEX trainings_by_age ON trainings (created_at, training_id);
CREATE INDEX trainings_queued ON trainings (created_at, training_id) WHERE status = 'queued';
CREATE INDEX trainings_leased ON trainings (lease_until) WHERE status = 'running';

CREATE TABLE training_epochs (
    training_id     UUID             NOT NULL REFERENCES trainings (training_id) ON DELETE CASCADE,
    fold            BIGINT           NOT NULL,
    epoch           BIGINT           NOT NULL,
    sequence        BIGINT           NOT NULL, -- 1, 2, ... in the order of recording: the event id of the stream
    train_loss      DOUBLE PRECISION, -- absent: not finite
    validation_loss DOUBLE PRECISION,
    learning_rate   DOUBLE PRECISION NOT NULL,
    at              TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (training_id, fold, epoch),
    UNIQUE (training_id, sequence)
);

CREATE TABLE training_logs (
    training_id UUID        NOT NULL REFERENCES trainings (training_id) ON DELETE CASCADE,
    sequence    BIGINT      NOT NULL,
    at          TIMESTAMPTZ NOT NULL,
    level       TEXT        NOT NULL,
    message     TEXT        NOT NULL,
    PRIMARY KEY (training_id, sequence)
);

-- One counter per name, so that "polar/3" is never given to a second model, not even after a delete.
CREATE TABLE model_names (
    name_key     TEXT   NOT NULL PRIMARY KEY, -- Unicode NFC, case-folded
    last_version BIGINT NOT NULL
);

CREATE TABLE models (
    model_id    UUID             NOT NULL PRIMARY KEY,
    model_name  TEXT             NOT NULL,
    name_key    TEXT             NOT NULL REFERENCES model_names (name_key),
    version     BIGINT           NOT NULL,
    task        TEXT             NOT NULL,
    targets     TEXT             NOT NULL,
    dataset_id  UUID             NOT NULL,
    training_id UUID             NOT NULL UNIQUE, -- a training gives one model, whatever its workers do
    metrics     TEXT             NOT NULL,
    card        TEXT             NOT NULL,
    size_bytes  BIGINT           NOT NULL,
    sha256      TEXT             NOT NULL,
    train_s     DOUBLE PRECISION NOT NULL,
    tags        TEXT             NOT NULL,
    description TEXT             NOT NULL,
    status      TEXT             NOT NULL CHECK (status IN ('ready', 'corrupt', 'missing')),
    created_at  TIMESTAMPTZ      NOT NULL,
    UNIQUE (name_key, version)
);
CREATE INDEX models_by_age ON models (created_at, model_id);

-- The numbers in models.metrics by dotted path, and models.tags: what lists sort and filter by.
CREATE TABLE model_metrics (
    model_id UUID             NOT NULL REFERENCES models (model_id) ON DELETE CASCADE,
    name     TEXT             NOT NULL,
    value    DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (model_id, name)
);
CREATE TABLE model_tags (
    model_id UUID NOT NULL REFERENCES models (model_id) ON DELETE CASCADE,
    tag      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, tag)
);

CREATE TABLE events (
    event_id    UUID        NOT NULL PRIMARY KEY,
    at          TIMESTAMPTZ NOT NULL,
    actor       TEXT        NOT NULL,
    action      TEXT        NOT NULL,
    object_kind TEXT        NOT NULL,
    object_id   TEXT        NOT NULL,
    request_id  TEXT,
    details     TEXT        NOT NULL
);
CREATE INDEX events_by_age ON events (at, event_id);
CREATE INDEX events_by_object ON events (object_id, at, event_id);

CREATE TABLE idempotency_keys (
    route       TEXT        NOT NULL,
    key         TEXT        NOT NULL,
    fingerprint TEXT        NOT NULL,
    status      BIGINT, -- absent: the first request is still running
    location    TEXT,
    body        TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
