"""The table: medians over rounds, goals reached or not, and what the figures say about what bounds a row."""

import statistics

from stack import CORES, FOLLOWERS, backend_of

SHORT = {"gateway": "gw", "customer-merge": "merge", "event-ingest": "ingest", "configuration": "conf", "aggregate-sync": "aggr",
         "stats-rollup": "stats", "bulk-processor": "bulk", "postgres": "pg", "load tool": "load"}
SHORT |= {backend_of(name): f"pg/{short}" for name, short in SHORT.items()}
FOLLOWING = {*FOLLOWERS, *map(backend_of, FOLLOWERS)}
HEAD = (f"{'row':20} {'conn':>4} {'ops/s':>8} {'p50 ms':>7} {'p99 ms':>7} {'failed':>6} {'CPU s/1000':>10}  "
        f"{'goal':34} bound by | CPU s per 1,000 operations of each process")
PROCESS_GOALS = {"most MiB": 64, "idle % of core": 1, "ready after ms": 300}
STORES = ("postgres", "kafka")
FULL, ONE_CORE = 0.92, 0.85


def median(results, what):
    values = [what(result) for result in results]
    return None if None in values else statistics.median(values)


def per_process(results):
    """process -> CPU microseconds per operation"""
    names = {name: None for result in results for name in result.cpu}
    return {name: statistics.median(result.cpu.get(name, 0) * 1e6 / max(result.good, 1) for result in results) for name in names}


def followers_us(results):
    """CPU microseconds per operation of what follows the facts: statistics and aggregates, but for Kafka's share."""
    return sum(us for name, us in per_process(results).items() if name in FOLLOWING)


def goals(row, results):
    """(what, ratio): 1 or more is reached."""
    found = []
    for what, wanted, got in (("ops/s", row.rate, median(results, lambda r: r.per_second)),
                              ("CPU us", row.cpu_us, sum(per_process(results).values())),
                              ("CPU us before followers", row.cpu_us, sum(per_process(results).values()) - followers_us(results)),
                              ("p50", row.p50, median(results, lambda r: r.p50)), ("p99", row.p99, median(results, lambda r: r.p99))):
        if wanted and got:
            found.append((f"{what} {wanted:,.0f}", got / wanted if what == "ops/s" else wanted / got))
    return found


def bound(results):
    """From cores in use while the load ran: all of them, one process's one, or waiting."""
    busy = {name: median(results, lambda r, n=name: r.busy.get(n, 0)) for name in results[0].busy}
    if not busy:
        return ""
    ours = {name: value for name, value in busy.items() if name not in ("load tool", "others")}
    most = max(ours, key=ours.get)
    total, share = sum(busy.values()), ours[most] / max(sum(ours.values()), 1e-9)
    words = f"{SHORT.get(most, most)} {share * 100:.0f} % of ours; load {busy['load tool']:.2f}, others {busy['others']:.2f}"
    if total >= FULL * CORES:
        return f"{total:.2f} of {CORES} cores: {words}"
    if ours[most] >= ONE_CORE:
        return f"one process ({ours[most]:.2f} cores): {words}"
    return f"waiting ({total:.2f} of {CORES} cores): {words}"


def number(value, width, digits=1):
    return f"{'' if value is None else format(value, f',.{digits}f'):>{width}}"


def line(row, results):
    processes = per_process(results)
    shown = " ".join(f"{SHORT.get(name, name)} {value / 1000:.4f}" for name, value in processes.items() if value >= 0.5)
    tools = statistics.median(result.tools * 1e6 / max(result.good, 1) for result in results)
    reached = ", ".join(f"{what}: {ratio:.2f}" for what, ratio in goals(row, results))
    lag = median(results, lambda r: r.lag)
    note = "".join(f"; {result.note}" for result in results[:1] if result.note)
    return (f"{row.name:20} {row.connections or '':>4} {number(median(results, lambda r: r.per_second), 8, 0)} "
            f"{number(median(results, lambda r: r.p50), 7)} {number(median(results, lambda r: r.p99), 7)} "
            f"{sum(result.bad for result in results):6.0f} {sum(processes.values()) / 1000:10.4f}  {reached:34} {bound(results)} | {shown}"
            f"{f'; load {tools / 1000:.4f}' if tools else ''}{f'; drained {lag:.1f} s' if lag > 0.1 else ''}{note}")


def progress(row, results):
    following = followers_us(results)
    return (f"{row.name} {row.connections or ''}: {median(results, lambda r: r.per_second):,.0f}/s, {sum(per_process(results).values()):.1f} us CPU each"
            f"{f', {following:.1f} of it statistics and aggregates' if following >= 0.5 else ''}")


def report_rows(rows):
    for row in rows:
        wanted = {"ops/s": row.rate, "ms p50": row.p50, "ms p99": row.p99, "us CPU": row.cpu_us}
        print(f"{row.name:20} {row.connections or '':>4}  {row.what}; goal: {', '.join(f'{v:,} {k}' for k, v in wanted.items() if v) or 'none'}")


def report(rows):
    """rows: (row, its results)"""
    print(f"\nmedians of each row's rounds; goal: ratio to it, 1 or more is reached\n{HEAD}")
    for row, results in rows:
        print(line(row, results))


def report_processes(found):
    """found: process -> {column: value}"""
    columns = list(dict.fromkeys(column for values in found.values() for column in values))
    print(f"\n{'process':18}" + "".join(f"{column:>16}" for column in columns))
    for name, values in found.items():
        print(f"{name:18}" + "".join(f"{format(values[column], '.1f') if column in values else '':>16}" for column in columns))
    above = [f"{name} {column} {values[column]:.1f}" for name, values in found.items() for column, most in PROCESS_GOALS.items()
             if name not in STORES and values.get(column, 0) > most]
    print(f"goals of our own: {', '.join(f'{column} {most}' for column, most in PROCESS_GOALS.items())} at most; above: {', '.join(above) or 'none'}")
