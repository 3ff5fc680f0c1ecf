-- When each leaf of doc's consents got its value, in microseconds by dotted path (consent_times.h). A leaf that it lacks was
-- given before it was kept: updated_us stands for it.
ALTER TABLE customers ADD COLUMN consent_times jsonb;
