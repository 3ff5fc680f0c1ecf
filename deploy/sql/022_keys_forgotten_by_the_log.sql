-- Effective time of the last record that finds this use of an Idempotency-Key; null = for ever. It follows from the record that used the
-- key, so that a replay forgets it at the same record; rows that are older than this column are kept, as a replay keeps them.
ALTER TABLE command_results ADD COLUMN kept_until_us bigint;
CREATE INDEX command_results_forgotten ON command_results (kept_until_us) WHERE kept_until_us IS NOT NULL;
