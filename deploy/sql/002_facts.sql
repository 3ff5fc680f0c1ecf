-- Up to where the stream of a workspace is known to have been published as facts by one writing partition: its rows at or
-- below `published` are in Kafka. A row is made in the transaction that writes the first stream row.
CREATE TABLE fact_cursors (
	workspace_id uuid NOT NULL,
	worker text NOT NULL,
	topic text NOT NULL,
	partition integer NOT NULL,
	published bigint NOT NULL,
	PRIMARY KEY (workspace_id, worker, topic, partition)
);
CREATE INDEX fact_cursors_partition ON fact_cursors (worker, topic, partition);
