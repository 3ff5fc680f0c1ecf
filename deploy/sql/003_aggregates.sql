-- Aggregate nodes as aggregate-sync knows them, from rule records in its own partition of `changes`.
CREATE TABLE aggregate_nodes (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	seq bigint NOT NULL,
	active boolean NOT NULL,
	doc jsonb NOT NULL,
	building boolean NOT NULL, -- a build goes on behind built_to
	built_to uuid, -- last entry customer that the build has seen
	PRIMARY KEY (workspace_id, node_id)
);

-- Which profile an entry customer belongs to. The profiles are customers of the aggregate node.
CREATE TABLE aggregate_members (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL, -- aggregate node
	customer_id uuid NOT NULL, -- entry customer
	profile_id uuid NOT NULL,
	excluded boolean NOT NULL, -- a filter hides the profile and its events
	PRIMARY KEY (workspace_id, node_id, customer_id)
);
CREATE INDEX aggregate_members_profile ON aggregate_members (workspace_id, profile_id, customer_id);
CREATE INDEX aggregate_members_customer ON aggregate_members (workspace_id, customer_id);
