-- Same table as migrations/sqlite/0002_model_aliases.sql; only the type names differ.

CREATE TABLE model_aliases (
    name_key  TEXT        NOT NULL, -- of the model: Unicode NFC, case-folded
    alias_key TEXT        NOT NULL, -- likewise
    alias     TEXT        NOT NULL,
    model_id  UUID        NOT NULL REFERENCES models (model_id),
    moved_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (name_key, alias_key)
);
CREATE INDEX model_aliases_by_model ON model_aliases (model_id);
