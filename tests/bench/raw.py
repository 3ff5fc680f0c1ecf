"""Raw limits: what the parts cost without this project's work around them, measured on the same machine in the same minutes."""

import pathlib
import subprocess
import time

import load
from data import BODY
from stack import BIN, CORES, STACK, Meter, free_port_base

ANSWER_BYTES = 45
RECORDS, ROWS, BATCH = 60000, 50000, 500
TOPICS = "bench-raw."
PARTITION = "CREATE TABLE bench_events_{y} PARTITION OF bench_events FOR VALUES FROM ({a}) TO ({b})"


def http(stack, connections, seconds):
    """libmicrohttpd: the event's own body, suspended, answered."""
    port = int(free_port_base()) + 4
    server = subprocess.Popen([BIN / "raw_http", str(port), str(ANSWER_BYTES)])
    try:
        time.sleep(0.2)
        if server.poll() is not None:
            raise SystemExit(f"bench: raw_http cannot listen on port {port}")
        stack.pids["raw_http"] = str(server.pid)
        result = load.run(stack, "event", connections, seconds, url=f"http://127.0.0.1:{port}")
        result.cpu = {"raw_http": result.cpu["raw_http"]}
        return result
    finally:
        stack.pids.pop("raw_http", None)
        server.kill()
        server.wait()


def record_bytes(stack):
    """Bytes of an event's record, from the log itself."""
    logs = pathlib.Path(STACK / "kafka/data").glob("contacthub.event-commands-*/*.log")
    return sum(log.stat().st_size for log in logs) // max(stack.position("event-ingest"), 1)


def program(stack, process, *command, **environment):
    """A program that prints operations, seconds and its CPU; the store's share is what that process spent meanwhile."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    meter = Meter(stack)
    out = subprocess.run(["env", *settings, *map(str, command)], check=True, text=True, stdout=subprocess.PIPE).stdout
    seconds = time.monotonic() - meter.began
    time.sleep(0.3)  # a backend that ends is counted when PostgreSQL has taken note of it
    cpu = meter.read()[0]
    n, took, own = map(float, out.split())
    spent = {command[0].name: own, process: cpu[process]}
    return load.Result(n, 0, took, cpu=spent, busy=load.cores(spent, 0, 0, seconds))


def kafka(stack, in_flight):
    return program(stack, "kafka", BIN / "raw_kafka", RECORDS, record_bytes(stack), in_flight, CONTACTHUB_KAFKA=stack.env["CONTACTHUB_KAFKA"],
                   CONTACTHUB_TOPIC_PREFIX=TOPICS)


def make_table(stack):
    """As the migrations make `events`: the same columns, indexes, and a partition of each year."""
    stack.sql("CREATE TABLE bench_events (LIKE events INCLUDING ALL) PARTITION BY RANGE (registered_us)")
    for year in range(2025, 2041):
        bounds = [f"extract(epoch FROM make_timestamptz({y}, 1, 1, 0, 0, 0, 'UTC')) * 1000000" for y in (year, year + 1)]
        values = stack.sql(f"SELECT ({bounds[0]})::bigint, ({bounds[1]})::bigint").split("|")
        stack.sql(PARTITION.format(y=year, a=values[0], b=values[1]))


def postgres(stack):
    make_table(stack)
    result = program(stack, "postgres", BIN / "raw_postgres", ROWS, BATCH, max(stack.keys, 1), BODY,
                     CONTACTHUB_PG=stack.env["CONTACTHUB_PG"])
    stack.sql("DROP TABLE bench_events")
    return result


def measure(stack, connections, seconds, rounds):
    """name -> results of each round, and the limit that they make together."""
    parts = {"raw libmicrohttpd": lambda: http(stack, connections, seconds), "raw Kafka": lambda: kafka(stack, connections),
             "raw PostgreSQL": lambda: postgres(stack)}
    return {name: [part() for _ in range(rounds)] for name, part in parts.items()}


def limit(cpu_us):
    """Operations per second that all cores can do when each costs the sum of these."""
    return CORES * 1e6 / sum(cpu_us)
