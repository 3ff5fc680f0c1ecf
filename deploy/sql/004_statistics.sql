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
CREATE INDEX stat_shares_customer ON stat_shares (workspace_id, node_id, customer_id) WHERE entity = 2;

-- --- what an entity is worth: the one definition, for the worker (entities of facts) and for the recount (all) ---

CREATE FUNCTION stat_day(us bigint, zone text) RETURNS date LANGUAGE sql STABLE AS $$
	SELECT (('epoch'::timestamptz + us * interval '1 microsecond') AT TIME ZONE zone)::date
$$;

-- A number of an event's properties; null when it is none that money or a quantity can be.
CREATE FUNCTION stat_number(value text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN value ~ '^-?[0-9]{1,18}([.][0-9]{1,18})?([eE][-+]?[0-9]{1,2})?$' THEN value::numeric END
$$;

CREATE FUNCTION stat_hash(node uuid, value text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT md5(node::text || ' ' || value)::uuid
$$;

-- Sold items of an order: lines of type return are taken off; a line without a quantity is one item.
CREATE FUNCTION stat_items(body json) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT COALESCE(sum(COALESCE(stat_number(line ->> 'quantity'), 1)
		* CASE WHEN COALESCE(line ->> 'type', body #>> '{properties,type}') = 'return' THEN -1 ELSE 1 END), 0)
	FROM json_array_elements(CASE WHEN json_typeof(body #> '{properties,products}') = 'array'
		THEN body #> '{properties,products}' ELSE '[]' END) AS line
	WHERE json_typeof(line) = 'object'
$$;

CREATE FUNCTION stat_channel(doc jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
		WHEN doc #>> '{base,contacts,email}' <> '' AND doc #>> '{base,contacts,mobilePhone}' <> '' THEN 'emailMobile'
		WHEN doc #>> '{base,contacts,email}' <> '' THEN 'emailOnly'
		WHEN doc #>> '{base,contacts,mobilePhone}' <> '' THEN 'mobileOnly'
		ELSE 'notReachable' END
$$;

CREATE VIEW stat_live_customers AS
	SELECT c.workspace_id, 1::smallint AS entity, c.id, c.node_id, NULL::uuid AS customer_id,
		stat_day(c.registered_us, z.zone) AS added, stat_day(c.updated_us, z.zone) AS updated, NULL::date AS deleted,
		NULL::date AS dated, stat_channel(c.doc) AS type, ''::text AS context, NULL::numeric AS value,
		NULL::numeric AS total, NULL::numeric AS items, false AS returned, NULL::uuid AS visitor, NULL::uuid AS session
	FROM customers c JOIN stat_zones z ON z.workspace_id = c.workspace_id;

CREATE VIEW stat_gone_customers AS
	SELECT t.workspace_id, 1::smallint AS entity, t.id, t.node_id, NULL::uuid AS customer_id,
		NULL::date AS added, NULL::date AS updated, stat_day(t.deleted_us, z.zone) AS deleted,
		NULL::date AS dated, ''::text AS type, ''::text AS context, NULL::numeric AS value,
		NULL::numeric AS total, NULL::numeric AS items, false AS returned, NULL::uuid AS visitor, NULL::uuid AS session
	FROM customer_tombstones t JOIN stat_zones z ON z.workspace_id = t.workspace_id;

-- Visits: events of the category web.
CREATE FUNCTION stat_is_visit(type text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT type IN ('changedSetting', 'clickedLink', 'formCompiled', 'loggedIn', 'loggedOut', 'searched', 'viewedPage')
$$;

-- An order or an abandoned cart; returns are taken off.
CREATE FUNCTION stat_amount(type text, body json, name text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN type IN ('completedOrder', 'abandonedCart') THEN
		CASE WHEN type = 'completedOrder' AND body #>> '{properties,type}' = 'return' THEN -1 ELSE 1 END
		* COALESCE(stat_number(body #>> ARRAY['properties', 'amount', name]), 0) END
$$;

-- An event in a node that it counts in: its own, or an aggregate node that its customer's profile is in.
CREATE FUNCTION stat_event(e events, node uuid, customer uuid, zone text) RETURNS SETOF stat_shares LANGUAGE sql STABLE AS $$
	SELECT e.workspace_id, 2::smallint, e.id, node, customer,
		stat_day(e.registered_us, zone), CASE WHEN e.version > 1 THEN stat_day(e.updated_us, zone) END, NULL::date,
		stat_day(e.date_us, zone), e.type, e.context,
		stat_amount(e.type, e.body, 'revenue'), stat_amount(e.type, e.body, 'total'),
		CASE WHEN e.type = 'completedOrder' THEN stat_items(e.body) END,
		e.type = 'completedOrder' AND COALESCE(e.body #>> '{properties,type}' = 'return', false),
		CASE WHEN stat_is_visit(e.type) THEN
			COALESCE(customer, CASE WHEN e.bind_kind = 1 THEN stat_hash(e.node_id, e.bind_value) END) END,
		CASE WHEN stat_is_visit(e.type) AND e.bind_kind = 1 THEN stat_hash(e.node_id, e.bind_value) END
$$;

-- An event is looked for once for all the nodes that it counts in: that takes an index of every year.
CREATE VIEW stat_live_events AS
	SELECT s.* FROM events e JOIN stat_zones z ON z.workspace_id = e.workspace_id
	CROSS JOIN LATERAL (SELECT e.node_id, e.customer_id UNION ALL
		SELECT m.node_id, m.profile_id FROM aggregate_members m
		WHERE m.workspace_id = e.workspace_id AND m.customer_id = e.customer_id AND NOT m.excluded) n
	CROSS JOIN LATERAL stat_event(e, n.node_id, n.customer_id, z.zone) s;

CREATE VIEW stat_gone_events AS
	SELECT t.workspace_id, 2::smallint AS entity, t.id, t.node_id, NULL::uuid AS customer_id,
		NULL::date AS added, NULL::date AS updated, stat_day(t.deleted_us, z.zone) AS deleted,
		NULL::date AS dated, t.type, ''::text AS context, NULL::numeric AS value,
		NULL::numeric AS total, NULL::numeric AS items, false AS returned, NULL::uuid AS visitor, NULL::uuid AS session
	FROM event_tombstones t JOIN stat_zones z ON z.workspace_id = t.workspace_id;

CREATE VIEW stat_entities AS
	SELECT * FROM stat_live_customers UNION ALL SELECT * FROM stat_gone_customers
	UNION ALL SELECT * FROM stat_live_events UNION ALL SELECT * FROM stat_gone_events;

-- --- what a share adds to the counters ---

CREATE FUNCTION stat_day_parts(s stat_shares)
RETURNS TABLE (metric smallint, day date, type text, context text, value numeric, total numeric, items numeric, returns bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT p.* FROM (VALUES
		(CASE s.entity WHEN 1 THEN 1::smallint ELSE 5::smallint END, s.added, CASE s.entity WHEN 1 THEN '' ELSE s.type END,
			'', 0::numeric, 0::numeric, 0::numeric, 0::bigint),
		(CASE s.entity WHEN 1 THEN 2::smallint ELSE 6::smallint END, s.updated, CASE s.entity WHEN 1 THEN '' ELSE s.type END,
			'', 0, 0, 0, 0),
		(CASE s.entity WHEN 1 THEN 3::smallint ELSE 7::smallint END, s.deleted, s.type, '', 0, 0, 0, 0),
		(4::smallint, CASE WHEN s.entity = 1 AND s.added IS NOT NULL THEN '0001-01-01'::date END, s.type, '', 0, 0, 0, 0),
		(8::smallint, s.dated, s.type, s.context, COALESCE(s.value, 0), COALESCE(s.total, 0), COALESCE(s.items, 0),
			s.returned::int::bigint)
	) AS p(metric, day, type, context, value, total, items, returns) WHERE p.day IS NOT NULL
$$;

CREATE FUNCTION stat_people_parts(s stat_shares) RETURNS TABLE (kind smallint, day date, context text, person uuid)
LANGUAGE sql IMMUTABLE AS $$
	SELECT p.* FROM (VALUES
		(1::smallint, s.dated, s.context, CASE WHEN s.type = 'completedOrder' AND NOT s.returned THEN s.customer_id END),
		(2::smallint, s.dated, s.context, s.visitor),
		(3::smallint, s.dated, s.context, s.session)
	) AS p(kind, day, context, person) WHERE p.person IS NOT NULL AND p.day IS NOT NULL
$$;

-- Sums lose the zeros at their end, so that they do not show in which order they were made.
CREATE VIEW stat_days_of_shares AS
	SELECT s.workspace_id, s.node_id, p.metric, p.day, p.type, p.context, count(*) AS n, trim_scale(sum(p.value)) AS value,
		trim_scale(sum(p.total)) AS total, trim_scale(sum(p.items)) AS items, sum(p.returns)::bigint AS returns
	FROM stat_shares s CROSS JOIN LATERAL stat_day_parts(s) p
	GROUP BY s.workspace_id, s.node_id, p.metric, p.day, p.type, p.context;

CREATE VIEW stat_people_of_shares AS
	SELECT s.workspace_id, s.node_id, p.kind, p.day, p.context, p.person, count(*) AS n
	FROM stat_shares s CROSS JOIN LATERAL stat_people_parts(s) p
	GROUP BY s.workspace_id, s.node_id, p.kind, p.day, p.context, p.person;

-- A zone that PostgreSQL does not know must not stop the counting.
CREATE FUNCTION stat_zone(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM now() AT TIME ZONE name;
	RETURN COALESCE(name, 'Europe/Rome');
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN 'Europe/Rome';
END $$;

CREATE VIEW stat_wanted_zones AS
	SELECT c.workspace_id, CASE WHEN c.doc ? 'timezone' THEN stat_zone(c.doc ->> 'timezone') ELSE 'Europe/Rome' END AS zone
	FROM configuration c WHERE c.kind = 'workspace' AND c.id = '';

-- Counts a workspace again from its entities, in plans that suit all of them. The caller keeps stats-rollup out of it.
CREATE FUNCTION stat_recount(w uuid) RETURNS void LANGUAGE sql
SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET plan_cache_mode = auto SET work_mem = '64MB' AS $$
	DELETE FROM stat_zones WHERE workspace_id = w;
	INSERT INTO stat_zones SELECT w, COALESCE((SELECT zone FROM stat_wanted_zones WHERE workspace_id = w), 'Europe/Rome');
	DELETE FROM stat_shares WHERE workspace_id = w;
	INSERT INTO stat_shares SELECT * FROM stat_entities WHERE workspace_id = w;
	DELETE FROM stat_days WHERE workspace_id = w;
	INSERT INTO stat_days SELECT * FROM stat_days_of_shares WHERE workspace_id = w;
	DELETE FROM stat_people WHERE workspace_id = w;
	INSERT INTO stat_people SELECT * FROM stat_people_of_shares WHERE workspace_id = w;
$$;

-- Where the counters differ from a recount, by kind: what is stored and should not be, or the other way round. Without the
-- right time zone they were not counted at all, or by other days.
CREATE FUNCTION stat_differences(w uuid) RETURNS TABLE (what text, differences bigint) LANGUAGE sql STABLE AS $$
	SELECT 'time zones', count(*) FROM stat_wanted_zones z WHERE z.workspace_id = w
		AND NOT EXISTS (SELECT FROM stat_zones s WHERE s.workspace_id = w AND s.zone = z.zone)
		AND (EXISTS (SELECT FROM stat_zones s WHERE s.workspace_id = w)
			OR EXISTS (SELECT FROM customers c WHERE c.workspace_id = w)
			OR EXISTS (SELECT FROM events e WHERE e.workspace_id = w)
			OR EXISTS (SELECT FROM customer_tombstones t WHERE t.workspace_id = w)
			OR EXISTS (SELECT FROM event_tombstones t WHERE t.workspace_id = w))
	UNION ALL SELECT 'shares', count(*) FROM (
		(SELECT * FROM stat_shares WHERE workspace_id = w EXCEPT SELECT * FROM stat_entities WHERE workspace_id = w)
		UNION ALL
		(SELECT * FROM stat_entities WHERE workspace_id = w EXCEPT SELECT * FROM stat_shares WHERE workspace_id = w)) d
	UNION ALL SELECT 'days', count(*) FROM (
		(SELECT * FROM stat_days WHERE workspace_id = w EXCEPT SELECT * FROM stat_days_of_shares WHERE workspace_id = w)
		UNION ALL
		(SELECT * FROM stat_days_of_shares WHERE workspace_id = w EXCEPT SELECT * FROM stat_days WHERE workspace_id = w)) d
	UNION ALL SELECT 'people', count(*) FROM (
		(SELECT * FROM stat_people WHERE workspace_id = w EXCEPT SELECT * FROM stat_people_of_shares WHERE workspace_id = w)
		UNION ALL
		(SELECT * FROM stat_people_of_shares WHERE workspace_id = w EXCEPT SELECT * FROM stat_people WHERE workspace_id = w)) d
$$;

-- What was there before there were counters.
SELECT stat_recount(c.workspace_id) FROM configuration c WHERE c.kind = 'workspace';
