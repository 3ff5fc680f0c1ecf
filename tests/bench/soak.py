"""Soak: a mix of everything at a constant rate, about a third of what the machine can take, and nothing may grow: memory, open files and
threads of each of our processes. In the end the tables must hold what was answered."""

import argparse
import os
import statistics
import sys
import time

import jobs
import mix
from stack import Stack, free_port_base, local, memory_mib, wipe

OWN = ("gateway", "configuration", "customer-merge", "event-ingest", "aggregate-sync", "stats-rollup", "bulk-processor")
EVERY_S = 3
# What the memory of a process may differ between two parts of the run by chance: a batch that is larger than those before.
# A third of ten minutes of the mix is some 300,000 requests: 4 bytes lost with each would be more.
BOUND_MIB = 1.0
# Clients that go away in the middle of a request are noticed late; a connection lost with each would be hundreds.
BOUND_FILES, BOUND_THREADS = 60, 1
OPEN_JOBS = "SELECT count(*) FROM bulk_jobs WHERE status IN ('LOADED', 'SCHEDULED', 'PROCESSING')"


class Sample:
    def __init__(self, pid):
        self.rss_mib = memory_mib(pid)[0]
        self.files = len(os.listdir(f"/proc/{pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{pid}/task"))


def medians(values, parts):
    """Of each part, in the order of time."""
    n = len(values)
    return [statistics.median(values[i * n // parts:(i + 1) * n // parts]) for i in range(parts)]


def thirds(values):
    return medians(values, 3)


def grown(values, bound):
    """By how much the last third is above the middle one; 0 when that may be chance, or when it was one step (a backlog for a
    while, a larger page than all before) after which nothing grew any more. The first third is for warming up."""
    _, middle, last = thirds(values)
    *_, before, after = medians(values, 6)
    return last - middle if last - middle > bound and after - before > bound / 2 else 0


def judge(name, samples):
    """What of a process has grown."""
    bounds = (("memory", "rss_mib", BOUND_MIB, "MiB"), ("open files", "files", BOUND_FILES, ""), ("threads", "threads", BOUND_THREADS, ""))
    for what, field, bound, unit in bounds:
        more = grown([getattr(sample, field) for sample in samples], bound)
        if more:
            yield f"{name}: {what} grew by {more:.1f} {unit}, more than {bound}"


def watch(stack, seconds):
    """name -> samples; a process that was started anew is a fault."""
    pids, found = {name: stack.pids[name] for name in OWN}, {name: [] for name in OWN}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, pid in pids.items():
            try:
                found[name].append(Sample(pid))
            except (OSError, KeyError):  # it has ended
                pass
        time.sleep(EVERY_S)
    stack.learn_pids()
    return found, [f"{name} was started anew" for name in OWN if stack.pids.get(name) != pids[name]]


def report(found):
    print(f"{'process':16} {'RSS MiB, thirds':>24} {'most':>7} {'files':>9} {'threads':>8}")
    for name, samples in found.items():
        memory = [sample.rss_mib for sample in samples]
        files, threads = [[getattr(sample, field) for sample in samples] for field in ("files", "threads")]
        parts = " ".join(f"{part:7.2f}" for part in thirds(memory))
        print(f"{name:16} {parts:>24} {max(memory):7.2f} {min(files):4}-{max(files):<4} {min(threads):3}-{max(threads):<3}")


def rest(stack):
    jobs.until(lambda: stack.sql(OPEN_JOBS) == "0", "the bulk jobs' end", 0.2)
    stack.rest(pause_s=2)


def check_tables(stack, done, before):
    """All that was answered is there; the load tool ends with requests on their way, at most one for each connection."""
    rest(stack)
    on_their_way = sum(connections for lua, connections, *_ in mix.STREAMS if lua.endswith("event"))
    answered = done["event"] + done["session_event"]
    stored = orders(stack) - before
    if not answered <= stored <= answered + on_their_way:
        yield f"{answered} events were acknowledged, {stored} are there"
    for table, condition in (("dead_letters", "true"), ("bulk_jobs", "status <> 'PROCESSED' OR failed > 0")):
        number = stack.sql(f"SELECT count(*) FROM {table} WHERE {condition}")
        if number != "0":
            yield f"{number} {table.replace('_', ' ')} with {condition}"
    recount = local("ctl", "recount", check=False)
    if recount.returncode:
        yield f"the counters are wrong: {recount.stdout[:400]}"


def orders(stack):
    """Those of sessions of customers that were deleted meanwhile are tombstones."""
    return sum(int(stack.sql(f"SELECT count(*) FROM {table} WHERE type = 'completedOrder'")) for table in ("events", "event_tombstones"))


def soak(stack, seconds):
    mix.prepare(stack)
    before = orders(stack)
    load = mix.Mix(stack, seconds)
    found, faults = watch(stack, seconds)
    done, wrong = load.end()
    report(found)
    print("requests  " + ", ".join(f"{name} {n}" for name, n in done.items()))
    for name, samples in found.items():
        faults += judge(name, samples)
    return faults + wrong + list(check_tables(stack, done, before))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="length of the load")
    parser.add_argument("--keep", action="store_true", help="leave the stack up")
    given = parser.parse_args()
    wipe()
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base())
        faults = soak(Stack(), round(given.minutes * 60))
    finally:
        if not given.keep:
            wipe()
    for fault in faults:
        print(f"FAULT     {fault}")
    print(f"{0 if faults else 1} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
