"""What the update stream costs those who write events."""

import time

# What the update stream adds to a batch of 100 events: the same batches with and without its statement, in turn.
COST_BATCHES, COST_BATCH, COST_ROUNDS = 400, 100, 3
COST_BATCH_SQL = """BEGIN;
INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, type, context, body)
SELECT {w}, ('{prefix:08x}' || lpad(to_hex(i), 24, '0'))::uuid, {w}, {w}, i, i, i, 1, 'viewedPage', 'WEB',
json_build_object('properties', json_build_object('url', repeat('x', 300))) FROM generate_series({first}, {last}) AS i;
{stream}COMMIT;
"""
COST_STREAM_SQL = """WITH heads AS (INSERT INTO stream_heads AS h (workspace_id, last_offset, last_us) VALUES ({w}, {n}, {last})
ON CONFLICT (workspace_id) DO UPDATE SET last_offset = h.last_offset + excluded.last_offset, last_us = GREATEST(h.last_us, excluded.last_us)
RETURNING last_offset, last_us)
INSERT INTO stream_runs SELECT {w}, last_offset - {last} + max(i), 2, {w}, last_us, array_agg(1::smallint), array_agg(('{prefix:08x}' || lpad(to_hex(i), 24, '0'))::uuid
ORDER BY i), array_agg(1::bigint) FROM heads, generate_series({first}, {last}) AS i GROUP BY last_offset, last_us, (i - {first}) / 64;
"""


def write_events(stack, prefix, with_stream):
    """Seconds and bytes of log of so many batches, each a durable transaction."""
    parts = []
    for batch in range(COST_BATCHES):
        values = {"w": "'00000000-0000-4000-8000-0000000000be'::uuid", "n": COST_BATCH, "prefix": prefix, "first": batch * COST_BATCH + 1,
                  "last": (batch + 1) * COST_BATCH}
        parts.append(COST_BATCH_SQL.format(stream=COST_STREAM_SQL.format(**values) if with_stream else "", **values))
    log = int(stack.sql("SELECT pg_current_wal_lsn() - '0/0'"))
    began = time.monotonic()
    for part in parts:
        stack.sql(part)
    return time.monotonic() - began, int(stack.sql("SELECT pg_current_wal_lsn() - '0/0'")) - log


def stream_cost(stack):
    """Best of some rounds, since other work on the machine only adds. The rows are of a workspace that is not there, and go again."""
    stack.sql("CHECKPOINT")
    best = {False: (float("inf"),) * 2, True: (float("inf"),) * 2}
    for number in range(COST_ROUNDS):
        for with_stream in best:
            found = write_events(stack, 0xBE0000 + 2 * number + with_stream, with_stream)
            best[with_stream] = tuple(map(min, best[with_stream], found))
    for table in ("events", "stream_runs", "stream_heads"):
        stack.sql(f"DELETE FROM {table} WHERE workspace_id = '00000000-0000-4000-8000-0000000000be'")
    n = COST_BATCHES * COST_BATCH
    (bare_s, bare_bytes), (seconds, log) = best[False], best[True]
    print(f"update stream: {(seconds - bare_s) * 1e6 / n:.1f} us and {(log - bare_bytes) / n:.0f} bytes of PostgreSQL's log per event, beside "
          f"{bare_s * 1e6 / n:.1f} us and {bare_bytes / n:.0f} bytes of the event's own row (batches of {COST_BATCH}, one connection)", flush=True)
