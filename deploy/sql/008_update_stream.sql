-- The stream offset before the first change of a workspace at or after a time. Times grow along the stream but for a few
-- seconds between writers, so the place is found by halving, some seconds early, and then looked for in order.
CREATE FUNCTION stream_offset_before(w uuid, us bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	low bigint := 0; -- changed before `us`, or the beginning
	high bigint; -- not before, or the end
	middle bigint;
	early CONSTANT bigint := 10000000;
BEGIN
	SELECT last_offset + 1 INTO high FROM stream_heads WHERE workspace_id = w;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	WHILE high - low > 1 LOOP
		middle := (low + high) / 2;
		IF (SELECT changed_us < us - early FROM update_stream WHERE workspace_id = w AND stream_offset = middle) THEN
			low := middle;
		ELSE
			high := middle;
		END IF;
	END LOOP;
	RETURN COALESCE((SELECT stream_offset - 1 FROM update_stream WHERE workspace_id = w AND stream_offset > low
		AND changed_us >= us ORDER BY stream_offset LIMIT 1),
		(SELECT last_offset FROM stream_heads WHERE workspace_id = w));
END
$$;
