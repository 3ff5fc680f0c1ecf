-- How far a bulk job has come. Rows from done_byte to next_byte that bulk_rows does not hold are on their way; bulk_rows
-- holds rows whose outcome is known, failed ones among them, and bulk_jobs.processed counts them.
ALTER TABLE bulk_jobs
	ADD COLUMN done_byte bigint NOT NULL DEFAULT 0, -- of the file: the first row whose outcome is not known yet begins here
	ADD COLUMN done_line bigint NOT NULL DEFAULT 0, -- rows before it
	ADD COLUMN epoch integer NOT NULL DEFAULT 0, -- how often a process has taken the job up: one that was overtaken writes nothing more
	ADD COLUMN stopping boolean NOT NULL DEFAULT false; -- an operator has asked: no more rows are read

-- Pieces of 256 KiB, read from any byte on and written once: not worth the time of compressing.
ALTER TABLE bulk_chunks ALTER bytes SET STORAGE EXTERNAL;

-- False: of a command that a replay does not read (uploads are not kept), so that it does not make this row again.
ALTER TABLE command_results ADD COLUMN replayed boolean NOT NULL DEFAULT true;
