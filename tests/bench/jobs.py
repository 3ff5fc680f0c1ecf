"""Rows that no load tool can measure: workers that catch up, builds, bulk jobs, replay, processes at rest and after a kill."""

import contextlib
import csv
import io
import re
import statistics
import time
import urllib.parse

import load
from load import Result
from rows import Row
from stack import FOLLOWERS, Meter, local, memory_mib, whole

BOUNDARY = "xYzBoundary"
ASSIGNED = '"event":"assigned"'
WAIT_S = 300
CITIES, NAMES = 97, 100


def until(check, what, pause_s=0.02, seconds=WAIT_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(pause_s)
    raise SystemExit(f"bench: {what}: not within {seconds} s")


def metered(stack, n, meter, seconds=None, **more):
    cpu, tools, others, passed = meter.read()
    return Result(n, 0, seconds or passed, cpu=cpu, tools=0, busy=load.cores(cpu, tools, others, passed), **more)


# --- catching up -----------------------------------------------------------------------------------------------------

CATCHING_UP = (
    Row("drain_events", 0, "event-ingest takes a full topic, events of customers", rate=50000),
    Row("drain_statistics", 0, "stats-rollup takes the facts of it"),
    Row("drain_aggregates", 0, "aggregate-sync takes the facts of it"),
    Row("drain_sessions", 0, "event-ingest takes a full topic, events of sessions that are nobody's yet", rate=50000),
    Row("drain_bound", 0, "event-ingest takes a full topic, events of external ids that are bound", rate=50000),
    Row("drain_shared", 0, "two event-ingest take a full topic, events of customers", rate=50000),
)
WORKERS = dict(zip((row.name for row in CATCHING_UP), ("event-ingest", *FOLLOWERS)))
OTHER_EVENTS = {"drain_sessions": "session_event", "drain_bound": "bound_event"}


def catch_up(stack, worker, *others):
    """From the first record that the started worker takes to the last that there is. others: more processes of it."""
    before, meter = stack.position(worker), Meter(stack)
    began = time.monotonic()

    def takes():
        nonlocal began
        looked = time.monotonic()
        if stack.position(worker) > before:
            return True
        began = looked  # nothing until now
        return False

    stack.service("up", worker, *others)
    until(takes, f"{worker} takes a record", 0.002)
    last, moved = stack.position(worker), time.monotonic()
    while time.monotonic() - moved < 1:
        now = stack.position(worker)
        if now != last:
            last, moved = now, time.monotonic()
        time.sleep(0.005)
    result = metered(stack, last - before, meter, note=f"{last - before} records")
    result.seconds = moved - began
    return result


def follow_again(stack):
    """What the followers have missed is not left to the next row: they take seconds to be members of their groups again, and stand still
    until then."""
    before = {name: stack.position(name) for name in FOLLOWERS}
    stack.service("up", *FOLLOWERS)
    for name, position in before.items():
        until(lambda: stack.position(name) > position, f"{name} takes a record")
    stack.rest()


def drains(stack, seconds):
    stack.service("down", *WORKERS.values())
    load.run(stack, "event", 256, seconds)
    found = {name: catch_up(stack, worker) for name, worker in WORKERS.items()}
    for name, lua in OTHER_EVENTS.items():
        stack.service("down", *WORKERS.values())
        load.run(stack, lua, 256, seconds)
        found[name] = catch_up(stack, "event-ingest")
    found["drain_shared"] = drain_shared(stack, seconds)
    follow_again(stack)
    return found


def drain_shared(stack, seconds):
    """Both are members of their group before there is anything to take, so that each has its half of the partitions at once."""
    both = ("event-ingest", stack.add_instance("event-ingest"))
    with assigned(stack, both[0]), assigned(stack, both[1]):
        stack.service("up", both[1])
    stack.service("down", *both)
    load.run(stack, "event", 256, seconds)
    found = catch_up(stack, *both)
    with assigned(stack, both[0]):  # when the group takes the other for gone
        stack.service("down", both[1])
    stack.remove_instance(both[1])
    return found


@contextlib.contextmanager
def assigned(stack, name):
    """Waits until the process has been given partitions since the block began."""
    before = stack.log(name).count(ASSIGNED)
    yield
    until(lambda: stack.log(name).count(ASSIGNED) > before, f"{name} is given its partitions", 0.005, 60)


# --- bulk jobs -------------------------------------------------------------------------------------------------------

BULK = (
    Row("bulk_customers", 0, "rows of a CSV file, CUSTOMER UPSERT, upload to end", rate=10000),
    Row("bulk_events", 0, "rows of a CSV file, EVENT INSERT, upload to end", rate=10000),
)


def form(fields, text):
    head = "".join(f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n" for name, value in fields.items())
    file = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"bench.csv\"\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
    return (head + file).encode()


def csv_text(head, rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([head, *rows])
    return out.getvalue()


def bulk(stack, node, n, text, **fields):
    meter = Meter(stack)
    job = stack.request("POST", f"/nodes/{node}/bulk-jobs", raw=form(fields, text), admin=True,
                        kind=f"multipart/form-data; boundary={BOUNDARY}")["id"]
    path = f"/nodes/{node}/bulk-jobs/{job}"
    ended = until(lambda: (lambda j: j if j["status"] in ("PROCESSED", "FAILED") else None)(stack.request("GET", path, admin=True)),
                  "a bulk job's end")
    seconds = time.monotonic() - meter.began
    if ended["status"] != "PROCESSED" or ended["failedEntities"]:
        raise SystemExit(f"bench: a bulk job failed: {ended}")
    return metered(stack, n, meter, seconds, lag=stack.rest())


def bulk_customers(stack, node, first, n):
    rows = [[f"bench-{i}", f"L{i % NAMES}", f"C{i % CITIES}", f"bench-{i}@example.com"] for i in range(first, first + n)]
    text = csv_text(["externalId", "base.lastName", "base.address.city", "base.contacts.email"], rows)
    return bulk(stack, node, n, text, operation="UPSERT")


def bulk_events(stack, n):
    ids = stack.ids.read_text().split()
    rows = [[ids[i % len(ids)], "WEB", f"https://example.com/{i}"] for i in range(n)]
    return bulk(stack, stack.node, n, csv_text(["customerId", "context", "properties.url"], rows), operation="INSERT", entity="EVENT",
                eventType="viewedPage")


# --- aggregate nodes --------------------------------------------------------------------------------------------------

AGGREGATES = (
    Row("aggregate_build", 0, "entry customers joined by a new aggregate node", rate=20000),
    Row("aggregate_follow", 64, "a change of a customer, until its profile shows it, at half load", p99=1000),
)
SAMPLES = 20


def aggregate_build(stack, *nodes):
    """(aggregate node, result)"""
    listed = ", ".join(f"'{node}'" for node in nodes)
    n = int(stack.sql(f"SELECT count(*) FROM customers WHERE workspace_id = '{stack.workspace}' AND node_id IN ({listed})"))
    body = {"name": f"bench-{time.time_ns()}", "description": "", "entryNodes": list(nodes), "exclusionFilters": [], "state": "ACTIVE",
            "matchingProperties": {"properties": ["externalId"], "caseSensitive": False}}
    meter, path = Meter(stack), "/configuration/nodes/aggregates"
    made = stack.request("POST", path, body, admin=True)["id"]
    until(lambda: stack.request("GET", f"{path}/{made}", admin=True)["state"] == "ACTIVE", "an aggregate node's build")
    seconds = time.monotonic() - meter.began
    return made, metered(stack, n, meter, seconds, note=f"{n} entry customers")


def shown(stack, aggregate, key, name):
    query = urllib.parse.urlencode({"nodeId": aggregate, "externalId": key})
    found = stack.request("GET", f"/customers?{query}", admin=True)["elements"]
    return bool(found) and found[0]["base"]["firstName"] == name


def follow_once(stack, aggregate, number):
    """Of a customer whom the load beside it does not write."""
    key, times = f"follow-{aggregate}-{number}", []
    for name in ("new", "changed"):
        stack.request("POST", "/customers", {"nodeId": stack.node, "externalId": key, "base": {"firstName": name}})
        began = time.monotonic()
        until(lambda: shown(stack, aggregate, key, name), "a change is on the profile", 0.005, 30)
        times.append(time.monotonic() - began)
    return times[-1] * 1000


def aggregate_follow(stack, aggregate, rate):
    background = load.Background(stack, "customer_post", 64, SAMPLES // 2, rate)
    time.sleep(1)
    waits = sorted(follow_once(stack, aggregate, number) for number in range(SAMPLES))
    good, bad, _, _, seconds = background.end()
    stack.rest()
    return Result(SAMPLES, bad, seconds, statistics.median(waits), waits[-1], note=f"longest of {SAMPLES}, beside {good / seconds:.0f} POST/s")


# --- replay ----------------------------------------------------------------------------------------------------------

REPLAY = (
    Row("replay", 0, "the whole log into new tables, compared and swapped", rate=10000),
)


def replay(stack):
    """The rate that replay itself tells per worker is in the note."""
    records, meter = stack.position("event-ingest") + stack.position("customer-merge"), Meter(stack)
    out = local("replay", check=False)
    words = re.findall(r"^(.*?)\s+\[[^\]]*\] 100 %\s+\d+ of (\d+) records\s+([\d.]+)/s", out.stdout, re.M)
    told = ", ".join(f"{name.strip()} {n} at {rate}/s" for name, n, rate in words)
    return metered(stack, records, meter, note=f"{told}; exit status {out.returncode}")


# --- processes -------------------------------------------------------------------------------------------------------

IDLE_S = 10


def memory(stack):
    return {name: dict(zip(("RSS MiB", "most MiB"), memory_mib(pid))) for name, pid in stack.pids.items()}


def idle(stack):
    before = whole(stack.cpu())
    time.sleep(IDLE_S)
    return {name: {"idle % of core": (seconds - before[name]) * 100 / IDLE_S} for name, seconds in whole(stack.cpu()).items()}


def ready_ms(stack, name):
    """From the kill until it serves again: the gateway says so, a worker has its partitions."""
    if name == "gateway":
        stack.kill(name)
        began = time.monotonic()
        until(stack.is_ready, f"{name} is ready", 0.005, 60)
    else:
        with assigned(stack, name):
            stack.kill(name)
            began = time.monotonic()
    return (time.monotonic() - began) * 1000


def restarts(stack):
    found = {}
    for name in list(stack.pids):
        if name not in ("postgres", "kafka"):
            found[name] = {"ready after ms": ready_ms(stack, name)}
            time.sleep(1.2)  # runit waits when a process has lived for less than a second
            stack.learn_pids()
    return found
