-- An event that comes late to a node that was emptied more than once is gone since the first time after it was registered,
-- whenever it comes: a replay reads all customer commands before the events.
ALTER TABLE node_rules ADD COLUMN emptied_before_us bigint[] NOT NULL DEFAULT '{}'; -- the times before emptied_us
