-- A node lies in one workspace: taken for independent of each other, both together seemed so rare where there are many workspaces that
-- any index which has them was as good as the one that finds a customer, and all customers of the node were read.
CREATE STATISTICS customers_nodes (dependencies) ON workspace_id, node_id FROM customers;
CREATE STATISTICS bindings_nodes (dependencies) ON workspace_id, node_id FROM bindings;
-- what is there already; tables without rows are looked at by the workers when they grow
DO $$ BEGIN
	IF EXISTS (SELECT FROM customers) THEN
		ANALYZE customers (workspace_id, node_id);
		ANALYZE bindings (workspace_id, node_id);
	END IF;
END $$;
