-- Entries of the update stream carry times that never go back: the latest time of a change up to and including the entry. A worker
-- that is behind writes older changes among newer ones, so the times of the changes themselves are in no order that halving
-- could rely on; and the first entry whose latest time reaches a moment is the first whose own time does.
ALTER TABLE stream_heads ADD COLUMN last_us bigint NOT NULL DEFAULT 0;
UPDATE update_stream s SET changed_us = m.latest_us
FROM (SELECT workspace_id, stream_offset, max(changed_us) OVER (PARTITION BY workspace_id ORDER BY stream_offset) AS latest_us
	FROM update_stream) m
WHERE s.workspace_id = m.workspace_id AND s.stream_offset = m.stream_offset AND s.changed_us < m.latest_us;
UPDATE stream_heads h SET last_us = s.changed_us FROM update_stream s
WHERE s.workspace_id = h.workspace_id AND s.stream_offset = h.last_offset;

-- The offset before the first change of a workspace at or after a time; the last one when there is none.
CREATE OR REPLACE FUNCTION stream_offset_before(w uuid, us bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	low bigint := 0; -- earlier, or the beginning
	high bigint; -- not earlier, or the end
	middle bigint;
BEGIN
	SELECT last_offset + 1 INTO high FROM stream_heads WHERE workspace_id = w;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	WHILE high - low > 1 LOOP
		middle := (low + high) / 2;
		IF (SELECT changed_us < us FROM update_stream WHERE workspace_id = w AND stream_offset = middle) THEN
			low := middle;
		ELSE
			high := middle;
		END IF;
	END LOOP;
	RETURN low;
END
$$;
