-- A build first notes which profile each entry customer belongs to, then makes the profiles in the order of their ids, each once from
-- all its members.
ALTER TABLE aggregate_nodes ADD COLUMN made_to uuid; -- last profile that the build has made; null: entry customers are still noted

-- One index for "this customer in this node" and "this customer in any node", instead of two.
DROP INDEX aggregate_members_customer;
ALTER TABLE aggregate_members DROP CONSTRAINT aggregate_members_pkey, ADD PRIMARY KEY (workspace_id, customer_id, node_id);
