-- Rows of the file as the gateway counted them while it came in; 0 where an earlier one took it. bulk_jobs.total tells how
-- many have been read, which is no measure of how far a job has come.
ALTER TABLE bulk_jobs ADD COLUMN file_rows bigint NOT NULL DEFAULT 0;
