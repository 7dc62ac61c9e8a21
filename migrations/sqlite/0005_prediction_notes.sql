-- Same change as migrations/postgres/0005_prediction_notes.sql.
-- What was noticed while the file was read, such as lines that are no rows of its table.
ALTER TABLE predictions ADD COLUMN file_warnings TEXT;
