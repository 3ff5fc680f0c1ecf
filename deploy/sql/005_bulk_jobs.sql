CREATE TABLE bulk_jobs (
	workspace_id uuid NOT NULL,
	id uuid NOT NULL,
	node_id uuid NOT NULL,
	status text NOT NULL, -- as the API names it
	operation text NOT NULL,
	entity text NOT NULL,
	event_type text, -- of the form field
	filename text NOT NULL,
	name text,
	error_message text,
	created_us bigint NOT NULL,
	updated_us bigint NOT NULL,
	source_id uuid, -- who sent it
	user_id bigint,
	bytes bigint NOT NULL,
	chunks integer NOT NULL,
	total bigint NOT NULL DEFAULT 0, -- rows read so far; of the whole file from PROCESSED on
	processed bigint NOT NULL DEFAULT 0,
	failed bigint NOT NULL DEFAULT 0,
	next_byte bigint NOT NULL DEFAULT 0, -- of the file: the row to be read next begins here
	PRIMARY KEY (workspace_id, id)
);
CREATE INDEX bulk_jobs_node ON bulk_jobs (workspace_id, node_id, created_us DESC, id);
CREATE INDEX bulk_jobs_open ON bulk_jobs (created_us) WHERE status IN ('LOADED', 'SCHEDULED', 'PROCESSING');

-- The uploaded files in pieces, until their job has ended.
CREATE TABLE bulk_chunks (
	workspace_id uuid NOT NULL,
	job_id uuid NOT NULL,
	chunk integer NOT NULL, -- from 0
	stored_us bigint NOT NULL,
	bytes bytea NOT NULL,
	PRIMARY KEY (workspace_id, job_id, chunk)
);

CREATE TABLE bulk_rows (
	workspace_id uuid NOT NULL,
	job_id uuid NOT NULL,
	line bigint NOT NULL, -- data row of the file, from 1
	status text, -- CREATED, UPDATED, DELETED, UNCHANGED, FAILED; null: sent, its outcome is not known yet
	entity_id text,
	error text,
	PRIMARY KEY (workspace_id, job_id, line)
);
