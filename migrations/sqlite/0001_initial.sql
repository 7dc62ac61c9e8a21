-- Same tables as migrations/postgres/0001_initial.sql; only the type names differ.
-- Identifiers are 16-byte UUIDv7 (they sort by age); times are RFC 3339 text in UTC (it sorts by
-- time); structured documents are JSON text, which keeps the order of their keys.

CREATE TABLE datasets (
    dataset_id          BLOB    NOT NULL PRIMARY KEY,
    name                TEXT    NOT NULL,
    filename            TEXT    NOT NULL,
    sha256              TEXT    NOT NULL,
    size_bytes          INTEGER NOT NULL,
    description         TEXT    NOT NULL,
    options             TEXT    NOT NULL,
    options_fingerprint TEXT    NOT NULL,
    rows                INTEGER NOT NULL,
    created_at          TEXT    NOT NULL
) STRICT;
CREATE INDEX datasets_by_age ON datasets (created_at, dataset_id);
CREATE INDEX datasets_by_content ON datasets (sha256, options_fingerprint);

-- dataset_id and model_id are history, not foreign keys: a training outlives both.
CREATE TABLE trainings (
    training_id      BLOB    NOT NULL PRIMARY KEY,
    dataset_id       BLOB    NOT NULL,
    model_name       TEXT    NOT NULL,
    tags             TEXT    NOT NULL,
    request          TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    progress         REAL    NOT NULL DEFAULT 0,
    message          TEXT    NOT NULL DEFAULT '',
    eta_s            REAL,
    model_id         BLOB,
    error            TEXT,
    warnings         TEXT    NOT NULL,
    stopped          TEXT,
    attempt          INTEGER NOT NULL DEFAULT 0, -- counts claims; with lease_owner, the fencing token
    crashes          INTEGER NOT NULL DEFAULT 0, -- claims whose lease ran out since the last checkpoint
    lease_owner      BLOB,
    lease_until      TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    checkpoint       TEXT,
    created_at       TEXT    NOT NULL,
    started_at       TEXT,
    finished_at      TEXT
) STRICT;
CREATE INDEX trainings_by_age ON trainings (created_at, training_id);
CREATE INDEX trainings_queued ON trainings (created_at, training_id) WHERE status = 'queued';
CREATE INDEX trainings_leased ON trainings (lease_until) WHERE status = 'running';

CREATE TABLE training_epochs (
    training_id     BLOB    NOT NULL REFERENCES trainings (training_id) ON DELETE CASCADE,
    fold            INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    sequence        INTEGER NOT NULL, -- 1, 2, ... in the order of recording: the event id of the stream
    train_loss      REAL,             -- absent: not finite
    validation_loss REAL,
    learning_rate   REAL    NOT NULL,
    at              TEXT    NOT NULL,
    PRIMARY KEY (training_id, fold, epoch),
    UNIQUE (training_id, sequence)
) STRICT;

CREATE TABLE training_logs (
    training_id BLOB    NOT NULL REFERENCES trainings (training_id) ON DELETE CASCADE,
    sequence    INTEGER NOT NULL,
    at          TEXT    NOT NULL,
    level       TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    PRIMARY KEY (training_id, sequence)
) STRICT;

-- One counter per name, so that "polar/3" is never given to a second model, not even after a delete.
CREATE TABLE model_names (
    name_key     TEXT    NOT NULL PRIMARY KEY, -- Unicode NFC, case-folded
    last_version INTEGER NOT NULL
) STRICT;

CREATE TABLE models (
    model_id    BLOB    NOT NULL PRIMARY KEY,
    model_name  TEXT    NOT NULL,
    name_key    TEXT    NOT NULL REFERENCES model_names (name_key),
    version     INTEGER NOT NULL,
    task        TEXT    NOT NULL,
    targets     TEXT    NOT NULL,
    dataset_id  BLOB    NOT NULL,
    training_id BLOB    NOT NULL UNIQUE, -- a training gives one model, whatever its workers do
    metrics     TEXT    NOT NULL,
    card        TEXT    NOT NULL,
    size_bytes  INTEGER NOT NULL,
    sha256      TEXT    NOT NULL,
    train_s     REAL    NOT NULL,
    tags        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('ready', 'corrupt', 'missing')),
    created_at  TEXT    NOT NULL,
    UNIQUE (name_key, version)
) STRICT;
CREATE INDEX models_by_age ON models (created_at, model_id);

-- The numbers in models.metrics by dotted path, and models.tags: what lists sort and filter by.
CREATE TABLE model_metrics (
    model_id BLOB NOT NULL REFERENCES models (model_id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    REAL NOT NULL,
    PRIMARY KEY (model_id, name)
) STRICT;
CREATE TABLE model_tags (
    model_id BLOB NOT NULL REFERENCES models (model_id) ON DELETE CASCADE,
    tag      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, tag)
) STRICT;

CREATE TABLE events (
    event_id    BLOB NOT NULL PRIMARY KEY,
    at          TEXT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    request_id  TEXT,
    details     TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_age ON events (at, event_id);
CREATE INDEX events_by_object ON events (object_id, at, event_id);

CREATE TABLE idempotency_keys (
    route       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    status      INTEGER, -- absent: the first request is still running
    location    TEXT,
    body        TEXT,
    created_at  TEXT    NOT NULL,
    PRIMARY KEY (route, key)
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
