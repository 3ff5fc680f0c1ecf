-- Background steps of a partition's owner so far. They had counted in last_time_us, and times of records went up with them: a replay,
-- whose steps fall elsewhere, made other times.
ALTER TABLE consumer_offsets ADD COLUMN steps bigint NOT NULL DEFAULT 0;
