-- Nodes that are being emptied: what was registered before time_us is gone for whoever writes, and is removed in steps, since no
-- transaction can hold a node of millions. An event that is older than node_rules.emptied_us is there only as long.
CREATE TABLE node_emptyings (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	time_us bigint NOT NULL,
	partition integer NOT NULL, -- of the record: who owns it does the steps
	customers boolean NOT NULL, -- they go as well, after the events
	events_left boolean NOT NULL DEFAULT true,
	below_us bigint NOT NULL DEFAULT 9223372036854775807, -- the next step begins here: date of events, then last update of customers
	PRIMARY KEY (workspace_id, node_id, time_us)
);
