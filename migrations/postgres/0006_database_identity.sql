-- Same table as migrations/sqlite/0006_database_identity.sql.
-- What this database is called in the mark of the folders whose files it names.
CREATE TABLE database_identity (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    identity TEXT    NOT NULL
);
