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
)


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
    environment = os.environ | {
        "BENCH_ROW": row,
        "BENCH_BASE": stack.base,
        "BENCH_TOKEN": stack.env["CONTACTHUB_TOKEN"],
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


def print_row(row, connections, r):
    per = {name: seconds * 1e6 / max(r["good"], 1) for name, seconds in r["cpu"].items()}
    shown = " ".join(f"{name} {value:.0f}" for name, value in per.items() if value >= 0.5)
    print(f"{row:16} {connections:4} {r['per_second']:9.0f} {r['p50']:7.1f} {r['p99']:7.1f} {r['bad']:6.0f} {sum(per.values()):7.0f}   {shown}; "
          f"wrk {r['load'] * 1e6 / max(r['good'], 1):.0f}; drained in {r['lag']:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each row")
    parser.add_argument("--rows", default="", help="only rows with these names")
    parser.add_argument("--keep", action="store_true", help="leave the stack up")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.rows.split(",")))
    local("wipe")
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base())
        stack = Stack()
        stack.make_customers()
        # the broker's JIT and the caches are cold: a first round is thrown away
        for row in ("event", "customer_create"):
            if not wanted or row in wanted:
                measure(stack, row, 128, max(4, arguments.seconds // 2))
        print(f"{'row':16} {'conn':>4} {'ops/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'failed':>6} {'CPU us':>7}   CPU microseconds per operation by process")
        for row, connections in ROWS:
            if not wanted or row in wanted:
                print_row(row, connections, measure(stack, row, connections, arguments.seconds))
        memory = {name: rss_mib(pids[0]) for name, pids in processes().items()}
        print("memory  " + " ".join(f"{name} {mib:.0f} MiB" for name, mib in memory.items()))
    finally:
        if not arguments.keep:
            local("wipe")


if __name__ == "__main__":
    sys.exit(main())
