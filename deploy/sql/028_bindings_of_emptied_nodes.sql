-- Bindings of customers who went when their node was emptied end with these customers' rows, some at a time. For whoever looks for them
-- they have ended: an event registered since then belongs to none of these customers.
CREATE OR REPLACE FUNCTION binding_at(w uuid, n uuid, k smallint, v text, t bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
	SELECT b.customer_id FROM bindings b
	WHERE b.workspace_id = w AND b.node_id = n AND b.kind = k AND b.value = v AND b.unbound_us > t
	AND b.bound_us >= COALESCE((SELECT max(y.time_us) FROM node_emptyings y
		WHERE y.workspace_id = w AND y.node_id = n AND y.customers AND y.time_us <= t), 0)
	ORDER BY b.bound_us > t, b.bound_us, b.customer_id LIMIT 1
$$;
