"""Benchmark of the whole stack: rates, latency, and CPU per operation of every process, beside goals and raw limits. Loopback only.

CPU is read from /proc of each process (PostgreSQL: all its backends) until the workers have drained what the row produced, so
that work put off is not forgotten. The load tool's CPU is counted apart, and so is what others do on the machine."""

import argparse
import dataclasses
import sys
import time

import cost
import data
import jobs
import load
import raw
import rows
import table
from stack import Stack, free_port_base, local, wipe

BASE_CUSTOMERS = 10000
WARM_UP = (("event", 256), ("customer_post", 128), ("event", 64), ("customer_post", 128))
WARM_UP_S = 7


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row; the table has their medians")
    parser.add_argument("--rows", default="", help="only rows with these names")
    parser.add_argument("--quick", action="store_true", help="the main rows, one short round each")
    parser.add_argument("--customers", type=int, default=0, help="measure flat rows again with so many customers")
    parser.add_argument("--events", type=int, default=0, help="and so many events (default: two for each customer)")
    parser.add_argument("--changes", type=int, default=0, help="put so many changes into the tables before the stream is read")
    parser.add_argument("--list", action="store_true", help="say what each row does and what it should reach")
    parser.add_argument("--keep", action="store_true", help="leave the stack up")
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds = min(given.seconds, 3), 1
    if given.list:
        table.report_rows((*rows.ROWS, *jobs.CATCHING_UP, *jobs.BULK, *jobs.AGGREGATES, *jobs.REPLAY))
        sys.exit(0)
    given.rows = set(filter(None, given.rows.split(",")))
    return given


class Bench:
    def __init__(self, stack, given):
        self.stack, self.given = stack, given
        self.found = []  # (row, results) in the order of the table
        self.reached = {}  # (row, connections) -> median rate
        self.flatness = []  # sentences

    def wants(self, row):
        if self.given.rows:
            return row.name in self.given.rows or any(r.half_of == row.name and r.name in self.given.rows for r in rows.ROWS)
        return row.quick or not self.given.quick

    def add(self, row, results):
        self.found.append((row, results))
        self.reached[row.name, row.connections] = table.median(results, lambda r: r.per_second)
        print(table.progress(row, results), file=sys.stderr, flush=True)

    def run_row(self, row):
        rate = self.reached[row.half_of, row.connections] / 2 if row.half_of else 0
        self.add(row, [load.run(self.stack, row.lua or row.name, row.connections, self.given.seconds, row.admin, rate)
                       for _ in range(self.given.rounds)])

    def each(self, wanted, run):
        """Rounds of jobs that answer one result per row, by name."""
        if not any(map(self.wants, wanted)):
            return
        results = [run(number) for number in range(self.given.rounds)]
        for row in wanted:
            self.add(row, [result[row.name] for result in results])

    # --- parts, in the order of a run ---

    def prepare(self):
        stack = self.stack
        stack.empty_node, stack.second_node = stack.make_node("bench-empty"), stack.make_node("bench-second")
        jobs.bulk_customers(stack, stack.node, 1, BASE_CUSTOMERS)
        stack.keys = BASE_CUSTOMERS
        data.list_customers(stack)
        # the broker's JIT and the caches are cold: first rounds are thrown away
        for lua, connections in WARM_UP:
            load.run(stack, lua, connections, WARM_UP_S)

    def raw_limits(self):
        if self.given.rows and "raw" not in self.given.rows:
            return
        self.raw_us = []
        for name, results in raw.measure(self.stack, 256, min(self.given.seconds, 4), self.given.rounds).items():
            self.add(rows.Row(name, 256, "", quick=True), results)
            self.raw_us.append(sum(table.per_process(results).values()))

    def report_raw(self):
        ours = [results for row, results in self.found if (row.name, row.connections) == ("event", 256)]
        if not ours or not hasattr(self, "raw_us"):
            return
        limit, rate = raw.limit(self.raw_us), self.reached["event", 256]
        cpu_us = sum(table.per_process(ours[0]).values())
        print(f"\nraw limit: {limit:,.0f} events/s ({' + '.join(f'{us:.1f}' for us in self.raw_us)} us CPU, all cores, no load tool); ours spends"
              f" {cpu_us:.1f} us: {raw.limit([cpu_us]):,.0f}/s by the same sum, {raw.limit([cpu_us]) / limit:.2f} of the limit; measured "
              f"{rate:,.0f}/s, {rate / limit:.2f}")

    def wrk_rows(self, wanted):
        for row in wanted:
            if self.wants(row):
                self.run_row(row)

    def jobs(self):
        stack, seconds, given = self.stack, self.given.seconds, self.given
        self.each(jobs.CATCHING_UP, lambda _: jobs.drains(stack, 2 * seconds))
        n = 4000 if given.quick else BASE_CUSTOMERS
        self.each(jobs.BULK, lambda number: {
            "bulk_customers": jobs.bulk_customers(stack, stack.second_node, number * n + 1, n), "bulk_events": jobs.bulk_events(stack, n)})

    def aggregates(self):
        build, follow = jobs.AGGREGATES
        if not self.wants(build) and not self.wants(follow):
            return
        node, result = jobs.aggregate_build(self.stack, self.stack.node, self.stack.second_node)
        self.add(build, [result])
        self.stack.rest()
        rate = self.reached.get(("customer_post", 128)) or 1000
        self.add(follow, [jobs.aggregate_follow(self.stack, node, rate / 2)])

    def replay(self):
        if self.wants(jobs.REPLAY[0]):
            self.add(jobs.REPLAY[0], [jobs.replay(self.stack)])
            time.sleep(2)  # workers find their tables replaced, end, and are started again
            self.stack.rest()
            self.stack.learn_pids()

    def flat(self):
        """The same rows with few customers and with many: cost per operation and time must stay. Those with few are measured again (-), since
        meanwhile there may be an aggregate node that follows what they write, and it cannot be switched off."""
        wanted = [row for row in rows.ROWS if row.flat and self.wants(row)]
        few = {row.name: self.run_again(row, "-") for row in wanted}
        began = time.monotonic()
        data.make_customers(self.stack, self.given.customers)
        data.make_events(self.stack, self.given.events or 2 * self.given.customers)
        print(f"loaded in {time.monotonic() - began:.0f} s; rows with * have {self.given.customers:,} customers", file=sys.stderr, flush=True)
        for row in wanted:
            self.compare_flat(row, few[row.name], self.run_again(row, "*"))
        counted = [row for row in rows.ROWS if row.name.startswith("stats") and self.wants(row)]
        if counted:
            data.count(self.stack)
        for row in counted:
            self.run_again(row, "*")

    def run_again(self, row, mark):
        self.run_row(dataclasses.replace(row, name=f"{row.name}{mark}", lua=row.lua or row.name))
        return self.found[-1][1]

    def compare_flat(self, row, few, many):
        ratios = [sum(table.per_process(many).values()) / max(sum(table.per_process(few).values()), 1e-9)]
        ratios.append(table.median(many, lambda r: r.p50) / table.median(few, lambda r: r.p50))
        self.flatness.append(f"{row.name} at {self.given.customers:,} customers beside {BASE_CUSTOMERS:,}: CPU {ratios[0]:.2f} times, p50 "
                             f"{ratios[1]:.2f} times (goal: 1.3 at most)")

    def processes(self):
        self.stack.learn_pids()  # a replay has replaced the workers
        found = jobs.memory(self.stack)
        for more in (jobs.idle(self.stack), jobs.restarts(self.stack)):
            for name, values in more.items():
                found.setdefault(name, {}).update(values)
        table.report_processes(found)

    def all(self):
        given = self.given
        stream = [row for row in rows.ROWS if row.name.startswith("updates")]
        self.prepare()
        self.raw_limits()
        self.wrk_rows([row for row in rows.ROWS if row not in stream])
        self.jobs()
        if not given.quick:
            self.aggregates()
            self.replay()
        if given.changes and any(map(self.wants, stream)):
            data.make_changes(self.stack, given.changes)
        self.wrk_rows(stream)
        if given.customers:
            self.flat()
        table.report(self.found)
        self.report_raw()
        print("\n".join(self.flatness))
        if "stream_cost" in given.rows or not (given.rows or given.quick):
            cost.stream_cost(self.stack)
        if not given.rows or "processes" in given.rows:
            self.processes()


def main():
    given = arguments()
    wipe()
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base())
        Bench(Stack(), given).all()
    finally:
        if not given.keep:
            wipe()


if __name__ == "__main__":
    sys.exit(main())
