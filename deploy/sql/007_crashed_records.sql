-- Ranges of records in which a worker process died by its own signal. A single record that did so three times is set aside:
-- its row stays, so that a replay leaves it out, too.
CREATE TABLE crashed_records (
	worker text NOT NULL,
	topic text NOT NULL,
	partition integer NOT NULL,
	first_offset bigint NOT NULL,
	end_offset bigint NOT NULL,
	tries integer NOT NULL,
	PRIMARY KEY (worker, topic, partition, first_offset)
);
