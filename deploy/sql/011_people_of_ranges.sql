-- Distinct people of any range without looking at each of them. Of everybody who was there in a range, exactly one day is
-- the first in it: the day whose last day before lies before the range. So the people of a range are the number of days in
-- it with such a gap, and gaps are counted by both of their ends.
CREATE TABLE stat_gaps (
	workspace_id uuid NOT NULL,
	node_id uuid NOT NULL,
	measure smallint NOT NULL, -- kinds of stat_people; 4: first and second orders, see stat_gaps_of
	context text COLLATE "C" NOT NULL, -- '': all; buyers and orders of each context, too
	level smallint NOT NULL, -- 0 both days as they are; by month (its first day): 1 the last day, 2 the day, 3 both
	day date NOT NULL,
	last_day date NOT NULL, -- on which the person was there before; -infinity: never
	n bigint NOT NULL,
	PRIMARY KEY (workspace_id, node_id, measure, context, level, day, last_day)
) WITH (fillfactor = 70);

-- A person's days stand together: its gaps are made of all of them.
ALTER TABLE stat_people DROP CONSTRAINT stat_people_pkey,
	ADD PRIMARY KEY (workspace_id, node_id, kind, person, day, context);

-- --- the one definition, for the worker (people of facts) and for the recount (all) ---

-- The gaps of one person with all its days. Measure 4 is for people with more than one order: a first or second order in
-- the range has less than two orders between the range's start and itself, that is, its last order but one lies before the
-- range. Measure 4 counts them by that day, so that measure 4 less measure 1 are those who have a second order.
CREATE FUNCTION stat_gaps_of(kind smallint, days date[], contexts text[], ns bigint[])
RETURNS TABLE (measure smallint, context text, day date, last_day date)
LANGUAGE sql IMMUTABLE AS $$
	SELECT m.measure, g.context, g.day, COALESCE(m.last_day, '-infinity') FROM (
		SELECT d.context, d.day, d.n, lag(d.day) OVER w AS one, lag(d.n) OVER w AS one_n, lag(d.day, 2) OVER w AS two FROM (
			SELECT s.context, h.day, sum(h.n) AS n FROM unnest(days, contexts, ns) AS h(day, context, n)
			CROSS JOIN LATERAL (SELECT '' COLLATE "C" AS context UNION ALL SELECT h.context WHERE kind = 1) s GROUP BY 1, 2
		) d WINDOW w AS (PARTITION BY d.context ORDER BY d.day)
	) g CROSS JOIN LATERAL (
		SELECT kind AS measure, g.one AS last_day
		UNION ALL SELECT 4::smallint, CASE WHEN g.one_n > 1 THEN g.one ELSE g.two END WHERE kind = 1
		UNION ALL SELECT 4::smallint, g.one WHERE kind = 1 AND g.n > 1
	) m
$$;

CREATE FUNCTION stat_month(day date) RETURNS date LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN isfinite(day) THEN (day - (extract(day FROM day)::int - 1)) ELSE day END
$$;

CREATE FUNCTION stat_gap_levels(day date, last_day date) RETURNS TABLE (level smallint, day date, last_day date)
LANGUAGE sql IMMUTABLE AS $$
	SELECT l.level::smallint, l.day, l.last_day FROM (VALUES (0, $1, $2), (1, $1, stat_month($2)), (2, stat_month($1), $2),
		(3, stat_month($1), stat_month($2))) AS l(level, day, last_day)
$$;

CREATE VIEW stat_gaps_of_people AS
	SELECT p.workspace_id, p.node_id, g.measure, g.context, l.level, l.day, l.last_day, count(*) AS n
	FROM (SELECT workspace_id, node_id, kind, array_agg(day) AS days, array_agg(context) AS contexts, array_agg(n) AS ns
		FROM stat_people GROUP BY workspace_id, node_id, kind, person) p
	CROSS JOIN LATERAL stat_gaps_of(p.kind, p.days, p.contexts, p.ns) g
	CROSS JOIN LATERAL stat_gap_levels(g.day, g.last_day) l GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- --- reads ---

-- People (measure 4: their first and second orders) from day a to day b: whole months of the range and the days around
-- them, whose last day lies in a whole month before the range or in the part of its first month before it.
CREATE FUNCTION stat_people_between(w uuid, nodes uuid[], measure smallint, context text, a date, b date) RETURNS bigint
LANGUAGE sql STABLE AS $$
	WITH m AS (SELECT stat_month($5) AS a_month, stat_month($5 - 1) + interval '1 month' AS first, stat_month($6 + 1) AS behind),
	f AS (SELECT a_month, first::date, behind, first::date < behind AS whole FROM m),
	r(level, day_a, day_b, last_a, last_b) AS (
		SELECT 0, $5, CASE WHEN whole THEN first - 1 ELSE $6 END, a_month, $5 - 1 FROM f
		UNION ALL SELECT 1, $5, CASE WHEN whole THEN first - 1 ELSE $6 END, '-infinity', a_month - 1 FROM f
		UNION ALL SELECT 0, behind, $6, a_month, $5 - 1 FROM f WHERE whole
		UNION ALL SELECT 1, behind, $6, '-infinity', a_month - 1 FROM f WHERE whole
		UNION ALL SELECT 2, first, behind - 1, a_month, $5 - 1 FROM f WHERE whole
		UNION ALL SELECT 3, first, behind - 1, '-infinity', a_month - 1 FROM f WHERE whole
	)
	SELECT COALESCE(sum(g.n), 0)::bigint FROM r CROSS JOIN LATERAL (
		SELECT n FROM stat_gaps g WHERE g.workspace_id = $1 AND g.node_id = ANY ($2) AND g.measure = $3 AND g.context = $4
			AND g.level = r.level AND g.day BETWEEN r.day_a AND r.day_b AND g.last_day BETWEEN r.last_a AND r.last_b
		OFFSET 0) g
$$;

-- --- recount ---

CREATE FUNCTION stat_recount_gaps(w uuid) RETURNS void LANGUAGE sql
SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET plan_cache_mode = auto SET work_mem = '64MB' AS $$
	DELETE FROM stat_gaps WHERE workspace_id = w;
	INSERT INTO stat_gaps SELECT * FROM stat_gaps_of_people WHERE workspace_id = w;
$$;

ALTER FUNCTION stat_recount(uuid) RENAME TO stat_recount_entities;
CREATE FUNCTION stat_recount(w uuid) RETURNS void LANGUAGE sql AS $$
	SELECT stat_recount_entities(w);
	SELECT stat_recount_gaps(w);
$$;

ALTER FUNCTION stat_differences(uuid) RENAME TO stat_differences_of_entities;
CREATE FUNCTION stat_differences(w uuid) RETURNS TABLE (what text, differences bigint) LANGUAGE sql STABLE AS $$
	SELECT * FROM stat_differences_of_entities(w)
	UNION ALL SELECT 'gaps', count(*) FROM (
		(SELECT * FROM stat_gaps WHERE workspace_id = w EXCEPT SELECT * FROM stat_gaps_of_people WHERE workspace_id = w)
		UNION ALL
		(SELECT * FROM stat_gaps_of_people WHERE workspace_id = w EXCEPT SELECT * FROM stat_gaps WHERE workspace_id = w)) d
$$;

-- What was there before.
SELECT stat_recount_gaps(c.workspace_id) FROM configuration c WHERE c.kind = 'workspace';
