-- Counters that the analytics operations read. Days are days of the workspace's time zone.
CREATE TABLE stat_days (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	metric smallint NOT NULL, -- 1 customers added, 2 updated, 3 deleted, 4 channels; 5 events added, 6 updated, 7 deleted, 8 by date
	day date NOT NULL, -- 0001-01-01 where a metric has no day
	type text COLLATE "C" NOT NULL, -- event type; metric 4: emailMobile, emailOnly, mobileOnly, notReachable; else ''
	context text COLLATE "C" NOT NULL, -- of metric 8; else ''
	n bigint NOT NULL,
	value numeric NOT NULL DEFAULT 0, -- amount.revenue, returns subtract
	total numeric NOT NULL DEFAULT 0, -- amount.total, returns subtract
	items numeric NOT NULL DEFAULT 0,
	returns bigint NOT NULL DEFAULT 0, -- of n
	PRIMARY KEY (workspace_id, node_id, metric, day, type, context)
) WITH (fillfactor = 70);

-- Who was there on a day, for counts of distinct people.
CREATE TABLE stat_people (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	kind smallint NOT NULL, -- 1 buyer, 2 visitor (customer, or session that belongs to nobody), 3 session
	day date NOT NULL,
	context text COLLATE "C" NOT NULL,
	person uuid NOT NULL, -- customer id, or a hash of the session's value
	n bigint NOT NULL, -- events, never 0
	PRIMARY KEY (workspace_id, node_id, kind, day, context, person)
);

-- What an entity adds to the counters above: replaced when the entity changes, so that a fact may come twice or late.
CREATE TABLE stat_shares (
	workspace_id uuid NOT NULL,
	entity smallint NOT NULL, -- 1 customer, 2 event
	id uuid NOT NULL,
	node_id uuid NOT NULL, -- an event counts in its entry node, and in the aggregate nodes of its customer
	customer_id uuid,
	added date,
	updated date,
	deleted date,
	dated date,
	type text COLLATE "C" NOT NULL,
	context text COLLATE "C" NOT NULL,
	value numeric,
	total numeric,
	items numeric,
	returned boolean NOT NULL DEFAULT false,
	visitor uuid,
	session uuid,
	PRIMARY KEY (workspace_id, id, node_id)
);

-- The time zone that a workspace's days were counted with; another one in the configuration means counting again.
CREATE TABLE stat_zones (
	workspace_id uuid PRIMARY KEY,
	zone text NOT NULL
);
