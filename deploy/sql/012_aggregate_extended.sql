-- Version of the workspace's extended customer properties that the profiles were merged with: their merge policies decide
-- conflicts, so another version means building again.
ALTER TABLE aggregate_nodes ADD COLUMN extended_version bigint NOT NULL DEFAULT 0;
