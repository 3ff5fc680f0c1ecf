"""One row of load: wrk with load.lua, and what it cost each process until the workers had drained what it produced."""

import dataclasses
import os
import subprocess
import time

from stack import ROOT, Meter


@dataclasses.dataclass
class Result:
    """Times in seconds but for the percentiles (ms; None: not measured)."""

    good: float
    bad: float
    seconds: float
    p50: float = None
    p99: float = None
    cpu: dict = dataclasses.field(default_factory=dict)  # process -> seconds, work put off included
    tools: float = 0
    busy: dict = dataclasses.field(default_factory=dict)  # process -> cores while the load ran; "load tool", "others"
    lag: float = 0
    note: str = ""

    @property
    def per_second(self):
        return self.good / self.seconds if self.seconds else 0

    @property
    def cpu_us(self):
        return sum(self.cpu.values()) * 1e6 / max(self.good, 1)


def cores(cpu, tools, others, seconds):
    return {name: value / seconds for name, value in cpu.items()} | {"load tool": tools / seconds, "others": others / seconds}


def environment(stack, lua, admin, rate):
    last_offset, last_ms = stack.stream_end()
    return os.environ | {
        "BENCH_ROW": lua,
        "BENCH_BASE": stack.base,
        "BENCH_TOKEN": stack.env["CONTACTHUB_ADMIN_TOKEN" if admin else "CONTACTHUB_TOKEN"],
        "BENCH_EMPTY_NODE": stack.empty_node,
        "BENCH_LAST_OFFSET": last_offset,
        "BENCH_LAST_MS": last_ms,
        "BENCH_NODE": stack.node,
        "BENCH_IDS": str(stack.ids),
        "BENCH_KEYS": str(stack.keys),
        "BENCH_RATE": str(rate),
        "BENCH_RUN": format(time.time_ns() // 1000, "x"),
    }


def command(connections, seconds, url):
    return ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s", "-s", str(ROOT / "tests/bench/load.lua"), url]


def read_result(out):
    lines = [line.split()[1:] for line in out.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"bench: wrk gave no result:\n{out}")
    good, bad, p50, _, p99, seconds = map(float, lines[0])
    return good, bad, p50, p99, seconds


def run(stack, lua, connections, seconds, admin=False, rate=0, url=None):
    """rate: requests per second at most, 0 = as many as there are answers."""
    meter = Meter(stack)
    out = subprocess.run(command(connections, seconds, url or stack.env["CONTACTHUB_URL"]), env=environment(stack, lua, admin, rate),
                         check=True, text=True, stdout=subprocess.PIPE).stdout
    cpu, tools, others, passed = meter.read()
    good, bad, p50, p99, duration = read_result(out)
    busy = cores(cpu, tools, others, passed)
    lag = stack.rest()
    return Result(good, bad, duration, p50, p99, meter.read()[0], tools, busy, lag)


class Background:
    """Load that goes on while something else is measured."""

    def __init__(self, stack, lua, connections, seconds, rate, admin=False):
        self.process = subprocess.Popen(command(connections, seconds, stack.env["CONTACTHUB_URL"]), stdout=subprocess.PIPE, text=True,
                                        env=environment(stack, lua, admin, rate))

    def end(self):
        """(answered well, otherwise, ms of half and of 99 of 100, seconds)"""
        return read_result(self.process.communicate()[0])
