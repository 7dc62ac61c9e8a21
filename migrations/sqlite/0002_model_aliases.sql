-- Same table as migrations/postgres/0002_model_aliases.sql; only the type names differ.
-- "polar@champion": a second name for one version, which may be moved to another one. The model is
-- not deleted under it: whoever asks for the alias would be answered by nobody, or by another model.
CREATE TABLE model_aliases (
    name_key  TEXT NOT NULL, -- of the model: Unicode NFC, case-folded
    alias_key TEXT NOT NULL, -- likewise
    alias     TEXT NOT NULL,
    model_id  BLOB NOT NULL REFERENCES models (model_id),
    moved_at  TEXT NOT NULL,
    PRIMARY KEY (name_key, alias_key)
) STRICT;
CREATE INDEX model_aliases_by_model ON model_aliases (model_id);
