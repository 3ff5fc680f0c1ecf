-- The same definitions as before, written so that they cost less for each entity: branches of UNION ALL are compiled once, rows of
-- VALUES anew each time.
CREATE OR REPLACE FUNCTION stat_day_parts(s stat_shares)
RETURNS TABLE (metric smallint, day date, type text, context text, value numeric, total numeric, items numeric, returns bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE s.entity WHEN 1 THEN 1::smallint ELSE 5::smallint END, s.added, CASE s.entity WHEN 1 THEN '' ELSE s.type END,
		'', 0::numeric, 0::numeric, 0::numeric, 0::bigint WHERE s.added IS NOT NULL
	UNION ALL SELECT CASE s.entity WHEN 1 THEN 2::smallint ELSE 6::smallint END, s.updated,
		CASE s.entity WHEN 1 THEN '' ELSE s.type END, '', 0, 0, 0, 0 WHERE s.updated IS NOT NULL
	UNION ALL SELECT CASE s.entity WHEN 1 THEN 3::smallint ELSE 7::smallint END, s.deleted, s.type, '', 0, 0, 0, 0
		WHERE s.deleted IS NOT NULL
	UNION ALL SELECT 4::smallint, '0001-01-01'::date, s.type, '', 0, 0, 0, 0 WHERE s.entity = 1 AND s.added IS NOT NULL
	UNION ALL SELECT 8::smallint, s.dated, s.type, s.context, COALESCE(s.value, 0), COALESCE(s.total, 0), COALESCE(s.items, 0),
		s.returned::int::bigint WHERE s.dated IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION stat_people_parts(s stat_shares) RETURNS TABLE (kind smallint, day date, context text, person uuid)
LANGUAGE sql IMMUTABLE AS $$
	SELECT 1::smallint, s.dated, s.context, s.customer_id
		WHERE s.type = 'completedOrder' AND NOT s.returned AND s.customer_id IS NOT NULL AND s.dated IS NOT NULL
	UNION ALL SELECT 2::smallint, s.dated, s.context, s.visitor WHERE s.visitor IS NOT NULL AND s.dated IS NOT NULL
	UNION ALL SELECT 3::smallint, s.dated, s.context, s.session WHERE s.session IS NOT NULL AND s.dated IS NOT NULL
$$;

-- Events that are there, with the time that says in which year's table they stand: whoever knows which years there are need not
-- look in all.
CREATE VIEW stat_registered_events AS
	SELECT s.*, e.registered_us FROM events e JOIN stat_zones z ON z.workspace_id = e.workspace_id
	CROSS JOIN LATERAL (SELECT e.node_id, e.customer_id UNION ALL
		SELECT m.node_id, m.profile_id FROM aggregate_members m
		WHERE m.workspace_id = e.workspace_id AND m.customer_id = e.customer_id AND NOT m.excluded) n
	CROSS JOIN LATERAL stat_event(e, n.node_id, n.customer_id, z.zone) s;

-- Made anew, so that views come after those that they use: a replay makes them again in that order.
DROP VIEW stat_entities;
DROP VIEW stat_live_events;
CREATE VIEW stat_live_events AS
	SELECT workspace_id, entity, id, node_id, customer_id, added, updated, deleted, dated, type, context, value, total, items,
		returned, visitor, session FROM stat_registered_events;
CREATE VIEW stat_entities AS
	SELECT * FROM stat_live_customers UNION ALL SELECT * FROM stat_gone_customers
	UNION ALL SELECT * FROM stat_live_events UNION ALL SELECT * FROM stat_gone_events;
