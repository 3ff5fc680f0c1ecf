-- A recount goes over all events. What the planner would remember for each customer (Memoize) it throws away for each event, as the look-ups
-- below it have parameters of their own: with 1,000,000 customers that cleared some megabytes for each event, and 10,000,000 events would have taken four hours.
ALTER FUNCTION stat_recount_entities(uuid) SET enable_memoize = off;
ALTER FUNCTION stat_recount_gaps(uuid) SET enable_memoize = off;
-- The comparison sorts all of them, too, and had the session's memory and plans for few rows.
ALTER FUNCTION stat_differences_of_entities(uuid) SET enable_memoize = off;
ALTER FUNCTION stat_differences_of_entities(uuid) SET work_mem = '64MB';
ALTER FUNCTION stat_differences(uuid) SET enable_memoize = off;
ALTER FUNCTION stat_differences(uuid) SET work_mem = '64MB';

-- Levels are made of the gaps when they are counted, not of each person's.
CREATE OR REPLACE VIEW stat_gaps_of_people AS
	SELECT g.workspace_id, g.node_id, g.measure, g.context, l.level, l.day, l.last_day, sum(g.n)::bigint AS n
	FROM (SELECT p.workspace_id, p.node_id, x.measure, x.context, x.day, x.last_day, count(*) AS n
		FROM (SELECT workspace_id, node_id, kind, array_agg(day) AS days, array_agg(context) AS contexts, array_agg(n) AS ns
			FROM stat_people GROUP BY workspace_id, node_id, kind, person) p
		CROSS JOIN LATERAL stat_gaps_of(p.kind, p.days, p.contexts, p.ns) x GROUP BY 1, 2, 3, 4, 5, 6) g
	CROSS JOIN LATERAL stat_gap_levels(g.day, g.last_day) l GROUP BY 1, 2, 3, 4, 5, 6, 7;
