-- The same definitions as before, written so that they cost less for each entity: branches of UNION ALL are compiled once, rows of
-- VALUES anew each time.
CREATE OR REPLACE FUNCTION stat_day_parts(s stat_shares)
RETURNS TABLE (metric smallint, day date, type text, context text, value numeric, total numeric, items numeric, returns bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE s.entity WHEN 1 THEN 1::smallint ELSE 5::smallint END, s.added, CASE s.entity WHEN 1 THEN '' ELSE s.type END,
		'', 0::numeric, 0::numeric, 0::numeric, 0::bigint WHERE s.added IS NOT NULL
	UNION ALL SELECT CASE s.entity WHEN 1 THEN 2::smallint ELSE 6::smallint END, s.updated,
		CASE s.entity WHEN 1 THEN '' ELSE s.type END, '', 0, 0, 0, 0 WHERE s.updated IS NOT NULL
	UNION ALL SELECT CASE s.entity WHEN 1 THEN 3::smallint ELSE 7::smallint END, s.deleted, s.type, '', 0, 0, 0, 0
		WHERE s.deleted IS NOT NULL
	UNION ALL SELECT 4::smallint, '0001-01-01'::date, s.type, '', 0, 0, 0, 0 WHERE s.entity = 1 AND s.added IS NOT NULL
	UNION ALL SELECT 8::smallint, s.dated, s.type, s.context, COALESCE(s.value, 0), COALESCE(s.total, 0), COALESCE(s.items, 0),
		s.returned::int::bigint WHERE s.dated IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION stat_people_parts(s stat_shares) RETURNS TABLE (kind smallint, day date, context text, person uuid)
LANGUAGE sql IMMUTABLE AS $$
	SELECT 1::smallint, s.dated, s.context, s.customer_id
		WHERE s.type = 'completedOrder' AND NOT s.returned AND s.customer_id IS NOT NULL AND s.dated IS NOT NULL
	UNION ALL SELECT 2::smallint, s.dated, s.context, s.visitor WHERE s.visitor IS NOT NULL AND s.dated IS NOT NULL
	UNION ALL SELECT 3::smallint, s.dated, s.context, s.session WHERE s.session IS NOT NULL AND s.dated IS NOT NULL
$$;
