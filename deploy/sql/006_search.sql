CREATE INDEX customers_registered ON customers (workspace_id, node_id, registered_us DESC, id);
CREATE INDEX customers_dob ON customers (workspace_id, node_id, (doc #>> '{base,dob}') COLLATE "C");
