-- An aggregate node's own events are those that came for a profile. They count while it is there, as they are shown: they used to
-- count although a filter had hidden it. As values, so that they stay look-ups: a hash of all customers would be made of EXISTS.
CREATE OR REPLACE FUNCTION stat_counted_in(w uuid, node uuid, customer uuid) RETURNS TABLE (node_id uuid, customer_id uuid)
LANGUAGE sql STABLE AS $$
	SELECT node, customer WHERE CASE
		WHEN (SELECT true FROM aggregate_nodes a WHERE a.workspace_id = w AND a.node_id = node)
		THEN (SELECT true FROM customers c WHERE c.workspace_id = w AND c.id = customer) ELSE true END
	UNION ALL SELECT m.node_id, m.profile_id FROM aggregate_members m
	WHERE m.workspace_id = w AND m.customer_id = customer AND NOT m.excluded
$$;

-- Where any of them counted, with stats-rollup kept out.
SELECT 1 FROM consumer_offsets WHERE worker = 'stats-rollup' FOR NO KEY UPDATE;
SELECT stat_recount(w.workspace_id) FROM (
	SELECT DISTINCT a.workspace_id FROM aggregate_nodes a
	JOIN stat_shares s ON s.workspace_id = a.workspace_id AND s.node_id = a.node_id AND s.entity = 2
	WHERE NOT EXISTS (SELECT FROM customers c WHERE c.workspace_id = s.workspace_id AND c.id = s.customer_id)) w;
