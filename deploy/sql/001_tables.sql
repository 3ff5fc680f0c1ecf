-- Every primary key begins with workspace_id, so that a workspace can move to a database of its own.
-- Times are microseconds since 1970 (bigint, suffix _us): workers compute them from the log, never from the database's clock.

-- Where each worker stands in the log. The truth about consumption: Kafka's group offsets are for monitoring only.
CREATE TABLE consumer_offsets (
	worker text NOT NULL,
	topic text NOT NULL,
	partition integer NOT NULL,
	next_offset bigint NOT NULL,
	last_time_us bigint NOT NULL, -- effective time of the last record
	PRIMARY KEY (worker, topic, partition)
);

-- Outcome of commands somebody waits for or may repeat (Idempotency-Key).
CREATE TABLE command_results (
	workspace_id uuid NOT NULL,
	command_id uuid NOT NULL,
	keyed boolean NOT NULL,
	fingerprint bigint NOT NULL,
	status smallint NOT NULL,
	entity_id uuid,
	seq bigint NOT NULL DEFAULT 0,
	created_us bigint NOT NULL,
	body json, -- null: read the entity again
	PRIMARY KEY (workspace_id, command_id)
);
CREATE INDEX command_results_unkeyed ON command_results (created_us) WHERE NOT keyed;

-- Records that could not be applied; an operator lists, shows and re-runs them.
CREATE TABLE dead_letters (
	workspace_id uuid NOT NULL,
	topic text NOT NULL,
	partition integer NOT NULL,
	record_offset bigint NOT NULL,
	worker text NOT NULL,
	command_id uuid,
	command_type smallint,
	created_us bigint NOT NULL,
	reason text NOT NULL,
	record bytea NOT NULL,
	rerun_us bigint, -- when an operator sent it again
	PRIMARY KEY (workspace_id, topic, partition, record_offset)
);

-- Update stream: offsets per workspace grow by one and become visible in order, because the head row is locked until COMMIT.
CREATE TABLE stream_heads (
	workspace_id uuid PRIMARY KEY,
	last_offset bigint NOT NULL
);
CREATE TABLE update_stream (
	workspace_id uuid NOT NULL,
	stream_offset bigint NOT NULL,
	entity smallint NOT NULL, -- 1 customer, 2 event
	operation smallint NOT NULL, -- 1 create, 2 update, 3 delete
	entity_id uuid NOT NULL,
	node_id uuid NOT NULL,
	version bigint NOT NULL,
	changed_us bigint NOT NULL,
	PRIMARY KEY (workspace_id, stream_offset)
);

-- Configuration documents of all kinds; seq grows by one per change and becomes visible in order, so that gateways can ask
-- for "everything after seq". Users belong to no workspace (nil).
CREATE TABLE configuration_head (
	single boolean PRIMARY KEY DEFAULT true CHECK (single),
	seq bigint NOT NULL
);
INSERT INTO configuration_head (seq) VALUES (0);
CREATE TABLE configuration (
	workspace_id uuid NOT NULL,
	kind text NOT NULL,
	id text NOT NULL,
	version bigint NOT NULL,
	seq bigint NOT NULL,
	created_us bigint NOT NULL,
	updated_us bigint NOT NULL,
	doc jsonb NOT NULL,
	PRIMARY KEY (workspace_id, kind, id)
);
CREATE UNIQUE INDEX configuration_seq ON configuration (seq);

-- Rule records that the configuration worker still has to publish into the command topics.
CREATE TABLE rule_outbox (
	workspace_id uuid NOT NULL,
	seq bigint NOT NULL,
	position integer NOT NULL,
	topic text NOT NULL, -- role name
	partition integer NOT NULL,
	record bytea NOT NULL,
	PRIMARY KEY (workspace_id, seq, position)
);

-- Rules of nodes as the workers know them, from records in their own partitions.
CREATE TABLE node_rules (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	seq bigint NOT NULL,
	emptied_us bigint NOT NULL DEFAULT 0, -- events registered before are gone
	doc jsonb NOT NULL,
	PRIMARY KEY (workspace_id, node_id)
);

CREATE TABLE customer_heads (
	workspace_id uuid PRIMARY KEY,
	last_int_id bigint NOT NULL
);

CREATE TABLE customers (
	workspace_id uuid NOT NULL,
	id uuid NOT NULL,
	node_id uuid NOT NULL,
	int_id bigint NOT NULL,
	version bigint NOT NULL,
	registered_us bigint NOT NULL,
	updated_us bigint NOT NULL,
	enabled boolean NOT NULL,
	registered_by uuid, -- source
	updated_by uuid,
	external_id text COLLATE "C",
	doc jsonb NOT NULL, -- what was given of base, consents, extended, extra, tags
	PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 80);
CREATE INDEX customers_updated ON customers (workspace_id, node_id, updated_us DESC, id);
CREATE INDEX customers_external_id ON customers (workspace_id, node_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX customers_doc ON customers USING gin (doc jsonb_path_ops);

-- Unique keys of the matching policies: key is a hash of policy and values.
CREATE TABLE customer_keys (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	key uuid NOT NULL,
	customer_id uuid NOT NULL,
	PRIMARY KEY (workspace_id, node_id, key)
);

CREATE TABLE customer_tombstones (
	workspace_id uuid NOT NULL,
	id uuid NOT NULL,
	node_id uuid NOT NULL,
	registered_us bigint NOT NULL,
	deleted_us bigint NOT NULL,
	PRIMARY KEY (workspace_id, id)
);

-- A session value or external id of a node belongs to a customer during [bound_us, unbound_us); intervals are kept for ever.
CREATE TABLE bindings (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	kind smallint NOT NULL, -- 1 session, 2 external id
	value text COLLATE "C" NOT NULL,
	bound_us bigint NOT NULL,
	customer_id uuid NOT NULL,
	unbound_us bigint NOT NULL, -- 9223372036854775807 = still bound
	session_id uuid, -- kind 1
	PRIMARY KEY (workspace_id, node_id, kind, value, bound_us, customer_id)
);
CREATE INDEX bindings_customer ON bindings (workspace_id, customer_id, kind, bound_us);

-- Partitioned by registered_us, not by date: an undated event that is repeated must land in the same place.
CREATE TABLE events (
	workspace_id uuid NOT NULL,
	id uuid NOT NULL,
	node_id uuid NOT NULL,
	customer_id uuid, -- null: waits for its session or external id
	registered_us bigint NOT NULL,
	updated_us bigint NOT NULL,
	date_us bigint NOT NULL,
	version integer NOT NULL,
	bind_kind smallint, -- 1 session, 2 external id, null: came with a customerId
	type text COLLATE "C" NOT NULL,
	context text COLLATE "C" NOT NULL,
	bind_value text COLLATE "C",
	source_id uuid,
	body json NOT NULL, -- properties, contextInfo, tracking, as sent
	PRIMARY KEY (workspace_id, id, registered_us)
) PARTITION BY RANGE (registered_us);
CREATE INDEX events_customer ON events (workspace_id, customer_id, date_us DESC, id);
CREATE INDEX events_node ON events (workspace_id, node_id, date_us DESC, id);
CREATE INDEX events_waiting ON events (workspace_id, node_id, bind_kind, bind_value) WHERE customer_id IS NULL;

DO $$
DECLARE
	-- (value, value + 1) are the first microseconds of consecutive years
	y integer;
BEGIN
	FOR y IN 2025..2040 LOOP
		EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%s) TO (%s)', y,
			(extract(epoch FROM make_timestamptz(y, 1, 1, 0, 0, 0, 'UTC')) * 1000000)::bigint,
			(extract(epoch FROM make_timestamptz(y + 1, 1, 1, 0, 0, 0, 'UTC')) * 1000000)::bigint);
	END LOOP;
END $$;
CREATE TABLE events_other PARTITION OF events DEFAULT;

CREATE TABLE event_tombstones (
	workspace_id uuid NOT NULL,
	id uuid NOT NULL,
	node_id uuid NOT NULL,
	type text COLLATE "C" NOT NULL,
	registered_us bigint NOT NULL,
	deleted_us bigint NOT NULL,
	PRIMARY KEY (workspace_id, id)
);

-- The customer that a bring-back value means for an event registered at t: the interval that holds t, or else the first that
-- begins after it; the earliest bound, then the lowest id. Null: the event waits.
CREATE FUNCTION binding_at(w uuid, n uuid, k smallint, v text, t bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
	SELECT b.customer_id FROM bindings b
	WHERE b.workspace_id = w AND b.node_id = n AND b.kind = k AND b.value = v AND b.unbound_us > t
	ORDER BY b.bound_us > t, b.bound_us, b.customer_id LIMIT 1
$$;
