"""Overload: more than the stack can do, on a stack of its own. Started by tests/faults/overload; loopback only, ends by itself.

Times are of the load tool (open_loop.c) and count from the moment at which a request was due. The tool, the stack and everybody else
share the machine's cores, so every figure has a companion from the same minute: normal load beside overload, and for the quiet
workspace the same rate alone, beside the flood, and beside a flood of requests that ask for nothing (/health/live)."""

import argparse
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

from stack import BIN, STACK, Meter, Stack, free_port_base, local, memory_mib, wipe  # noqa: E402

UNIQUE, ID = "@" * 20, "########-####-####-####-############"
FLOOD_LINES, NORMAL_LINES, QUIET_LINES = 2048, 512, 128
CLOSED = (32, 64, 64)  # connections that look for the capacity: their median
CUSTOMERS = 2000
OWN = ("gateway", "customer-merge", "event-ingest", "configuration", "aggregate-sync", "stats-rollup", "bulk-processor")
# Of the gateway: what its HTTP library has for each connection comes on top.
GROWTH_MIB, LINE_MIB = 32, 80 / 1024
TIMES = 2  # what the goals allow
EVENT = {"type": "completedOrder", "context": "ECOMMERCE", "customerId": ID, "date": "2026-03-05T10:11:12.000Z", "properties": {
    "orderId": UNIQUE, "type": "sale", "storeCode": "MI01", "paymentMethod": "creditcard", "amount": {
        "total": 61.5, "revenue": 50.0, "shipping": 5.5, "tax": 11.0, "discount": 5.0},
    "products": [{"id": "P-100", "sku": "SKU-100", "name": "Compact disc", "price": 20.5, "quantity": 3}]}}
TABLE = {"events": "events", "customers": "customers"}

faults = []


def fault(text):
    faults.append(text)
    print(f"FAULT: {text}", flush=True)


def say(text):
    print(text, flush=True)


# --- workspaces and their requests ---------------------------------------------------------------------------------------


@dataclass
class Space:
    id: str
    node: str
    token: str
    ids: pathlib.Path

    def requests(self):
        base = f"/hub/v1/workspaces/{self.id}"
        customer = {"nodeId": self.node, "externalId": UNIQUE, "base": {
            "firstName": "Ada", "lastName": "Lovelace", "contacts": {"email": UNIQUE + "@example.com", "mobilePhone": "+39 02 000"},
            "address": {"city": "Milano", "country": "IT"}}}
        return {"events": self.request("POST", f"{base}/events", EVENT), "customers": self.request("POST", f"{base}/customers", customer),
                "reads": self.request("GET", f"{base}/customers/{ID}"), "nothing": self.request("GET", "/hub/v1/health/live")}

    def request(self, method, path, body=None):
        text = json.dumps(body) if body else ""
        return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(text)}\r\n\r\n{text}")


def call(stack, path, body):
    connection = http.client.HTTPConnection(stack.host, timeout=30)
    headers = {"Authorization": f"Bearer {stack.env['CONTACTHUB_ADMIN_TOKEN']}", "Content-Type": "application/json"}
    connection.request("POST", "/hub/v1/workspaces" + path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 201:
        raise SystemExit(f"overload: POST {path}: {answer.status} {text[:300]!r}")
    return json.loads(text)


def make_space(stack, name):
    """A workspace with some customers."""
    workspace = call(stack, "", {"name": name, "slug": f"{name}-{time.time_ns()}", "groupPk": 1, "shard": "default"})["id"]
    unique = {"properties": ["externalId"], "caseSensitive": False}
    node = call(stack, f"/{workspace}/configuration/nodes/entries", {"name": name, "mandatoryProperties": [], "uniqueCustomer": unique})["id"]
    source = {"provider": "API", "name": name, "nodes": [node], "enabled": True}
    token = call(stack, f"/{workspace}/configuration/sources", source)["token"]
    space = Space(workspace, node, token, STACK / f"ids-{name}")
    space.ids.write_text("")
    while len(ids := stack.sql(f"SELECT id FROM customers WHERE workspace_id = '{workspace}'").split()) < CUSTOMERS:
        Load(stack, space, "customers", 8, 0, 2).end()
    space.ids.write_text("\n".join(ids) + "\n")
    return space


def partition(stack, space):
    return stack.sql("SELECT DISTINCT partition FROM command_results WHERE topic = 'customer-commands' AND "
                     f"workspace_id = '{space.id}'")


class Load:
    def __init__(self, stack, space, kind, lines, rate, seconds):
        port = stack.host.rpartition(":")[2]
        command = [BIN / "open_loop", port, str(lines), str(max(int(rate), 1) if rate else 0), str(seconds), space.ids]
        self.kind = kind
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(space.requests()[kind])
        self.process.stdin.close()

    def end(self):
        found = json.loads(self.process.stdout.read())
        self.process.wait()
        self.judge(found)
        return found

    def judge(self, found):
        """What must hold for every answer, however fast it came."""
        other = {status: n for status, n in found["statuses"].items() if status not in ("200", "201", "202", "429", "503")}
        for what, n in (("other statuses", other), ("broken connections", found["broken"]), ("requests without an answer", found["hung"]),
                        ("429 or 503 without Retry-After", found["without_retry_after"])):
            if n:
                fault(f"{self.kind}: {what}: {n}")


# --- what is watched -----------------------------------------------------------------------------------------------------


class Memory:
    """The most that each process had, looked at four times a second."""

    def __init__(self, stack):
        self.stack, self.over = stack, threading.Event()
        self.before = {name: memory_mib(stack.pids[name])[0] for name in OWN}
        self.most = dict(self.before)
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.25):
            for name in OWN:
                self.most[name] = max(self.most[name], memory_mib(self.stack.pids[name])[0])

    def end(self):
        self.over.set()
        self.thread.join()
        for name in OWN:
            if self.most[name] - self.before[name] > GROWTH_MIB + (name == "gateway") * LINE_MIB * (FLOOD_LINES + NORMAL_LINES):
                fault(f"{name} grew from {self.before[name]:.0f} to {self.most[name]:.0f} MiB")
        return ", ".join(f"{name} {self.before[name]:.0f}-{self.most[name]:.0f}" for name in OWN if self.most[name] - self.before[name] >= 1)


class Rows:
    """What was answered well is in the table once; what was refused is not."""

    def __init__(self, stack, space, kind):
        self.stack, self.space, self.table = stack, space, TABLE.get(kind)
        self.before = self.count()

    def count(self):
        return self.table and int(self.stack.sql(f"SELECT count(*) FROM {self.table} WHERE workspace_id = '{self.space.id}'"))

    def judge(self, *loads):
        if not self.table:
            return
        good, unknown = (sum(load["statuses"].get(status, 0) for load in loads for status in which) for which in
                         (("200", "201", "202"), ("504", "0")))
        found = self.count() - self.before
        if not good <= found <= good + unknown:
            fault(f"{found} {self.table} are in the table, {good} were answered well")


# --- the two parts -------------------------------------------------------------------------------------------------------


def shares(found):
    taken, refused = found["good"]["n"], found["refused"]["n"]
    return f"{taken / found['seconds']:,.0f}/s taken, {refused / found['seconds']:,.0f}/s put off in {found['refused']['p50']:.1f} ms (p99 {found['refused']['p99']:.1f})"


def verdict(ratio):
    return "reached" if ratio <= TIMES else "NOT reached"


def capacity(stack, space, kind, seconds):
    rates = []
    for lines in CLOSED:
        found = Load(stack, space, kind, lines, 0, seconds).end()
        rates.append(found["good"]["n"] / seconds)
    rate = statistics.median(rates)
    say(f"{kind}: capacity {rate:,.0f}/s; " + ", ".join(f"{rate:,.0f} with {lines} connections" for lines, rate in zip(CLOSED, rates)))
    return rate


def busy(meter):
    cpu, tools, others, seconds = meter.read()
    return f"cores: stack {sum(cpu.values()) / seconds:.2f}, gateway {cpu['gateway'] / seconds:.2f}, load tool {tools / seconds:.2f}, others {others / seconds:.2f}"


def overload(stack, space, kind, rate, seconds):
    """Normal load, twice the capacity, normal load again."""
    stack.rest()
    rows = Rows(stack, space, kind)
    length = max(seconds // 6, 4)
    normal = Load(stack, space, kind, NORMAL_LINES, rate / 2, length).end()
    stack.rest()
    memory, meter = Memory(stack), Meter(stack)
    flood = Load(stack, space, kind, FLOOD_LINES, 2 * rate, seconds).end()
    cores = busy(meter)
    after = Load(stack, space, kind, NORMAL_LINES, rate / 2, length).end()
    grown, lag = memory.end(), stack.rest()
    rows.judge(normal, flood, after)
    ratio, sent = (flood[name]["p99"] * 2 / max(normal[name]["p99"] + after[name]["p99"], 0.001) for name in ("good", "good_sent"))
    for name, found in (("before", normal), ("after", after)):
        say(f"{kind}: half of it, {name}: p50 {found['good']['p50']:.1f} p99 {found['good']['p99']:.1f} ms, {found['refused']['n']} of "
            f"{found['sent']} put off")
    say(f"{kind}: twice for {seconds} s: p50 {flood['good']['p50']:.1f} p99 {flood['good']['p99']:.1f} ms, {shares(flood)}, "
        f"{flood['missed']} not sent for lack of connections; {cores}")
    say(f"{kind}: p99 of what is taken {ratio:.2f} times that: {verdict(ratio)}; from when a connection was free {sent:.2f} times")
    say(f"{kind}: seconds after it, [answers, p50, p99]: {after['by_second'][:3]}; workers at rest after {lag:.1f} s; "
        f"MiB: {grown or 'nothing grew'}")


def quiet_times(stack, space, kind, rate, seconds, flood=None):
    """p50 and p99 of the quiet workspace and its share of refusals, beside a flood of (space, kind, rate)."""
    other = flood and Load(stack, flood[0], flood[1], FLOOD_LINES, flood[2], seconds + 2)
    if other:
        time.sleep(1)
    found = Load(stack, space, kind, QUIET_LINES, rate, seconds).end()
    beside = other and other.end()
    stack.rest()
    return found["good"]["p50"], found["good"]["p99"], found["refused"]["n"] / max(found["sent"], 1), beside and beside["good"]["n"] / beside["seconds"]


def isolation(stack, quiet, noisy, kind, rate, seconds, rounds):
    """A twentieth of the capacity: alone, beside another workspace's flood, beside as many requests that ask for nothing."""
    cases = {"alone": None, "flood": (noisy, kind, 2 * rate), "control": (noisy, "nothing", 2 * rate)}
    found = {name: [] for name in cases}
    for _ in range(rounds):
        for name, flood in cases.items():
            found[name].append(quiet_times(stack, quiet, kind, rate / 20, seconds, flood))
    middle = {name: [statistics.median(values) for values in zip(*[row[:3] for row in rows])] for name, rows in found.items()}
    for at, what in enumerate(("p50", "p99")):
        alone, flood, control = (middle[name][at] for name in cases)
        ratio = flood / max(alone, 0.001)
        say(f"{kind}: quiet workspace's {what}: alone {alone:.2f} ms, beside the flood {flood:.2f} ({ratio:.2f} times: {verdict(ratio)}), beside "
            f"requests for nothing {control:.2f} ({control / max(alone, 0.001):.2f} times)")
    flooded = statistics.median(row[3] for row in found["flood"])
    say(f"{kind}: put off of the quiet one's requests: {middle['flood'][2]:.2%}; the flood got {flooded:,.0f}/s done; rounds (p50): "
        + ", ".join(f"{a[0]:.1f}/{f[0]:.1f}/{c[0]:.1f}" for a, f, c in zip(*found.values())))
    return middle


def left_in_work():
    """The gateway says when it ends how many requests it had."""
    log = (STACK / "logs/gateway.log").read_text(errors="replace")
    if "stopped with 0 requests in work" not in log:
        fault("the gateway did not end with no request in work")


# --- main ------------------------------------------------------------------------------------------------------------------


def run(stack, given):
    noisy, quiet = make_space(stack, "noisy"), make_space(stack, "quiet")
    say(f"partitions of the two workspaces' commands: {partition(stack, noisy)}, {partition(stack, quiet)}")
    slice_s = max(min(given.seconds // 10, 6), 2)
    for kind in given.kinds.split(","):
        Load(stack, noisy, kind, 16, 0, 3).end()  # warm
        rate = capacity(stack, noisy, kind, slice_s)
        overload(stack, noisy, kind, rate, given.seconds)
        isolation(stack, quiet, noisy, kind, rate, slice_s, given.rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="length of the overload; the rest follows it")
    parser.add_argument("--rounds", type=int, default=3, help="of the quiet workspace's measurements; medians are told")
    parser.add_argument("--kinds", default="events,customers,reads")
    parser.add_argument("--keep", action="store_true", help="leave the stack up")
    given = parser.parse_args()
    wipe()
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base())
        run(Stack(), given)
        local("down")
        left_in_work()
    finally:
        if not given.keep:
            wipe()
    say(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
