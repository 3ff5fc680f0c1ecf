-- An Idempotency-Key is decided by the worker of one partition, whose log alone says what came first. Before, whichever worker
-- wrote first refused the key to the others: a replay, whose workers take other turns, could refuse another request.
ALTER TABLE command_results
	ADD COLUMN topic text COLLATE "C" NOT NULL DEFAULT '', -- role name; '' of rows that were written before
	ADD COLUMN partition integer NOT NULL DEFAULT -1,
	DROP CONSTRAINT command_results_pkey,
	ADD PRIMARY KEY (workspace_id, command_id, topic, partition);
