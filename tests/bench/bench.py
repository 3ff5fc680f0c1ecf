"""Benchmark of the whole stack: requests per second, latency, and CPU per operation of every process. Loopback only.

CPU is read from /proc of each process (PostgreSQL: of all its backends that live at both ends), until the workers have
drained what the row produced, so that work put off is not forgotten. wrk's own CPU is counted apart."""

import argparse
import http.client
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = pathlib.Path(os.environ.get("CONTACTHUB_BENCH_STACK", ROOT / ".stack-bench"))
TICKS = os.sysconf("SC_CLK_TCK")
CUSTOMERS = 2000

# row, connections
ROWS = (
    ("live", 64),
    ("event", 64),
    ("event", 256),
    ("session_event", 256),
    ("customer_create", 16),
    ("customer_create", 128),
    ("customer_merge", 128),
    ("customer_get", 64),
    ("customer_by_key", 64),
    ("customer_events", 64),
    ("updates", 1),
    ("updates", 4),
    ("updates_scattered", 1),
    ("updates_rare", 1),
    ("updates_time", 1),
)
# Read by people, not by sources.
ADMIN_ROWS = ("updates", "updates_scattered", "updates_rare", "updates_time")


def local(script, *arguments, **environment):
    values = os.environ | {"CONTACTHUB_STACK": str(STACK)} | {k: str(v) for k, v in environment.items()}
    return subprocess.run([ROOT / "deploy/local" / script, *arguments], env=values, check=True, text=True, stdout=subprocess.PIPE)


def free_port_base():
    command = f"source {ROOT}/deploy/local/lib.sh && free_port_base 22080"
    return subprocess.run(["bash", "-c", command], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def processes():
    """name -> list of pids; PostgreSQL with its children."""
    found = {}
    for line in local("status").stdout.splitlines():
        name, pid, *_ = line.split()
        found[name] = [pid]
        if name == "postgres":
            children = subprocess.run(["pgrep", "-P", pid], text=True, stdout=subprocess.PIPE).stdout.split()
            found[name] += children
    return found


def cpu_seconds(pids):
    """pid -> user and system seconds."""
    seconds = {}
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds[pid] = (int(fields[11]) + int(fields[12])) / TICKS
    return seconds


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


class Stack:
    def __init__(self):
        lines = (STACK / "env").read_text().splitlines()
        self.env = dict(line.split("=", 1) for line in lines if "=" in line)
        self.base = f"/hub/v1/workspaces/{self.env['CONTACTHUB_WORKSPACE']}"
        self.ids = STACK / "bench-ids"

    def sql(self, text):
        command = ["psql", "-X", "-A", "-t", "-q", "-d", self.env["CONTACTHUB_PG"], "-c", "SET search_path = contacthub", "-c", text]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def make_customers(self):
        connection = http.client.HTTPConnection(self.env["CONTACTHUB_URL"].removeprefix("http://"))
        headers = {"Authorization": f"Bearer {self.env['CONTACTHUB_TOKEN']}", "Content-Type": "application/json"}
        ids = []
        for number in range(1, CUSTOMERS + 1):
            body = {"nodeId": self.env["CONTACTHUB_NODE"], "externalId": f"bench-{number}"}
            connection.request("POST", self.base + "/customers", json.dumps(body), headers)
            ids.append(json.loads(connection.getresponse().read())["id"])
        self.ids.write_text("\n".join(ids) + "\n")

    def make_changes(self, n):
        """So many changes of a fifth as many events and a fiftieth as many customers, put straight into the tables: what reading
        costs at that size. The first half of the entries is in the order in which the entities were made, as creations are; a page of
        the second half meets entities from all over the tables, as after changes of everything."""
        w, node = f"'{self.env['CONTACTHUB_WORKSPACE']}'::uuid", f"'{self.env['CONTACTHUB_NODE']}'::uuid"
        now = "(extract(epoch FROM date_trunc('day', now())) * 1000000)::bigint"
        body = json.dumps({"properties": {"orderId": "order", "type": "sale", "storeCode": "MI01", "paymentMethod": "creditcard", "amount": {
            "total": 61.5, "revenue": 50.0, "shipping": 5.5, "tax": 11.0, "discount": 5.0}, "products": [{
                "id": "P-100", "sku": "SKU-100", "name": "Compact disc", "price": 20.5, "quantity": 3}]}})
        doc = json.dumps({"base": {"firstName": "Ada", "lastName": "Lovelace", "contacts": {"email": "ada@example.com", "mobilePhone": "+39 02 000"},
                                   "address": {"city": "Milano", "country": "IT"}}, "tags": {"manual": ["vip"]}})
        events, customers = max(n // 5, 1), max(n // 50, 1)
        id_of = "('{}' || lpad(to_hex({}), 24, '0'))::uuid"
        for text in (
            "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, enabled, external_id, doc) "
            f"SELECT {w}, {id_of.format('0bc00000', 'i')}, {node}, 1000000 + i, 1, {now} + i, {now} + i, true, 'many-' || i, '{doc}' "
            f"FROM generate_series(1, {customers}) AS i",
            "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, type, context, body) "
            f"SELECT {w}, {id_of.format('0be00000', 'i')}, {node}, {id_of.format('0bc00000', f'i % {customers} + 1')}, {now} + i, {now} + i, "
            f"{now} + i, 1, 'completedOrder', 'ECOMMERCE', '{body}' FROM generate_series(1, {events}) AS i",
            f"WITH head AS (UPDATE stream_heads SET last_offset = last_offset + {n}, last_us = last_us + {n} WHERE workspace_id = {w} "
            f"RETURNING last_offset - {n} AS before, last_us - {n} AS us), entries AS (SELECT i, i % 10 = 0 AS customer, "
            f"CASE WHEN i % 10 = 0 THEN {customers} ELSE {events} END AS most FROM generate_series(1::bigint, {n}) AS i), "
            f"numbers AS (SELECT i, customer, CASE WHEN i <= {n // 2} THEN i * most / {n // 2 + 1} ELSE i * 7919 % most END + 1 AS number FROM entries) "
            f"INSERT INTO update_stream SELECT {w}, before + i, CASE WHEN customer THEN 1 ELSE 2 END, 2, CASE WHEN customer "
            f"THEN {id_of.format('0bc00000', 'number')} ELSE {id_of.format('0be00000', 'number')} END, {node}, 1, us + i FROM head, numbers",
            # nobody is to tell the other workers of them
            "UPDATE fact_cursors c SET published = h.last_offset FROM stream_heads h WHERE h.workspace_id = c.workspace_id",
            "VACUUM ANALYZE customers", "VACUUM ANALYZE events", "VACUUM ANALYZE update_stream",
        ):
            self.sql(text)

    def make_empty_node(self):
        """A node without customers: what a filter costs that nothing passes."""
        connection = http.client.HTTPConnection(self.env["CONTACTHUB_URL"].removeprefix("http://"))
        headers = {"Authorization": f"Bearer {self.env['CONTACTHUB_ADMIN_TOKEN']}", "Content-Type": "application/json"}
        body = {"name": "empty", "mandatoryProperties": [], "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": False}}
        connection.request("POST", self.base + "/configuration/nodes/entries", json.dumps(body), headers)
        self.empty_node = json.loads(connection.getresponse().read())["id"]

    def stream_end(self):
        row = f"SELECT last_offset, last_us / 1000 FROM stream_heads WHERE workspace_id = '{self.env['CONTACTHUB_WORKSPACE']}'"
        return self.sql(row).split("|")

    def drained(self):
        """Waits until the workers' offsets stand still; answers the seconds since the last move was seen to begin."""
        began, before = time.monotonic(), None
        while time.monotonic() - began < 300:
            now = self.sql("SELECT sum(next_offset) FROM consumer_offsets")
            if now == before:
                return time.monotonic() - began
            before = now
            time.sleep(0.4)
        raise SystemExit("bench: the workers do not come to rest")


def measure(stack, row, connections, seconds):
    last_offset, last_ms = stack.stream_end()
    environment = os.environ | {
        "BENCH_ROW": row,
        "BENCH_BASE": stack.base,
        "BENCH_TOKEN": stack.env["CONTACTHUB_ADMIN_TOKEN" if row in ADMIN_ROWS else "CONTACTHUB_TOKEN"],
        "BENCH_EMPTY_NODE": stack.empty_node,
        "BENCH_LAST_OFFSET": last_offset,
        "BENCH_LAST_MS": last_ms,
        "BENCH_NODE": stack.env["CONTACTHUB_NODE"],
        "BENCH_IDS": str(stack.ids),
        "BENCH_RUN": format(int(time.time() * 1000), "x"),
    }
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s", "-s", str(ROOT / "tests/bench/load.lua"),
               stack.env["CONTACTHUB_URL"]]
    before = {name: cpu_seconds(pids) for name, pids in processes().items()}
    load_before = os.times().children_user + os.times().children_system
    out = subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout
    load = os.times().children_user + os.times().children_system - load_before
    lag = stack.drained()
    result = [line.split()[1:] for line in out.splitlines() if line.startswith("RESULT")]
    if not result:
        raise SystemExit(f"bench: wrk gave no result:\n{out}")
    good, bad, p50, p95, p99, duration = map(float, result[0])
    cpu = {}
    for name, pids in before.items():
        after = cpu_seconds(pids)
        cpu[name] = sum(after[pid] - pids[pid] for pid in after)
    return {"good": good, "bad": bad, "p50": p50, "p95": p95, "p99": p99, "per_second": good / duration, "cpu": cpu, "load": load, "lag": lag}


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
INSERT INTO update_stream SELECT {w}, last_offset - {last} + i, 2, 1, ('{prefix:08x}' || lpad(to_hex(i), 24, '0'))::uuid, {w}, 1, last_us
FROM heads, generate_series({first}, {last}) AS i;
"""


def write_events(stack, prefix, with_stream):
    """Seconds and bytes of log of so many batches, each a durable transaction."""
    parts = []
    for batch in range(COST_BATCHES):
        values = {"w": "'00000000-0000-4000-8000-0000000000be'::uuid", "n": COST_BATCH, "prefix": prefix, "first": batch * COST_BATCH + 1,
                  "last": (batch + 1) * COST_BATCH}
        parts.append(COST_BATCH_SQL.format(stream=COST_STREAM_SQL.format(**values) if with_stream else "", **values))
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stack.env["CONTACTHUB_PG"]]
    log = int(stack.sql("SELECT pg_current_wal_lsn() - '0/0'"))
    began = time.monotonic()
    subprocess.run(command, input="SET search_path = contacthub;\n" + "".join(parts), check=True, text=True)
    return time.monotonic() - began, int(stack.sql("SELECT pg_current_wal_lsn() - '0/0'")) - log


def stream_cost(stack):
    """Best of some rounds, since other work on the machine only adds. The rows are of a workspace that is not there, and go again."""
    stack.sql("CHECKPOINT")
    best = {False: (float("inf"),) * 2, True: (float("inf"),) * 2}
    for number in range(COST_ROUNDS):
        for with_stream in best:
            found = write_events(stack, 0xBE0000 + 2 * number + with_stream, with_stream)
            best[with_stream] = tuple(map(min, best[with_stream], found))
    for table in ("events", "update_stream", "stream_heads"):
        stack.sql(f"DELETE FROM {table} WHERE workspace_id = '00000000-0000-4000-8000-0000000000be'")
    n = COST_BATCHES * COST_BATCH
    (bare_s, bare_bytes), (seconds, log) = best[False], best[True]
    print(f"update stream: {(seconds - bare_s) * 1e6 / n:.1f} us and {(log - bare_bytes) / n:.0f} bytes of PostgreSQL's log per event, beside "
          f"{bare_s * 1e6 / n:.1f} us and {bare_bytes / n:.0f} bytes of the event's own row (batches of {COST_BATCH}, one connection)", flush=True)


def print_row(row, connections, r):
    per = {name: seconds * 1e6 / max(r["good"], 1) for name, seconds in r["cpu"].items()}
    shown = " ".join(f"{name} {value:.0f}" for name, value in per.items() if value >= 0.5)
    print(f"{row:16} {connections:4} {r['per_second']:9.0f} {r['p50']:7.1f} {r['p99']:7.1f} {r['bad']:6.0f} {sum(per.values()):7.0f}   {shown}; "
          f"wrk {r['load'] * 1e6 / max(r['good'], 1):.0f}; drained in {r['lag']:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each row")
    parser.add_argument("--rows", default="", help="only rows with these names")
    parser.add_argument("--changes", type=int, default=0, help="put so many changes into the tables before reading is measured")
    parser.add_argument("--keep", action="store_true", help="leave the stack up")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.rows.split(",")))
    local("wipe")
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base())
        stack = Stack()
        stack.make_customers()
        stack.make_empty_node()
        # the broker's JIT and the caches are cold: a first round is thrown away
        for row in ("event", "customer_create"):
            if not wanted or row in wanted:
                measure(stack, row, 128, max(4, arguments.seconds // 2))
        print(f"{'row':16} {'conn':>4} {'ops/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'failed':>6} {'CPU us':>7}   CPU microseconds per operation by process")
        filled = False
        for row, connections in ROWS:
            if not wanted or row in wanted:
                if row in ADMIN_ROWS and arguments.changes and not filled:
                    filled = True
                    stack.make_changes(arguments.changes)
                print_row(row, connections, measure(stack, row, connections, arguments.seconds))
        if not wanted or "stream_cost" in wanted:
            stream_cost(stack)
        memory = {name: rss_mib(pids[0]) for name, pids in processes().items()}
        print("memory  " + " ".join(f"{name} {mib:.0f} MiB" for name, mib in memory.items()))
    finally:
        if not arguments.keep:
            local("wipe")


if __name__ == "__main__":
    sys.exit(main())
