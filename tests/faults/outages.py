"""Outages: load, something is taken away for a while, it comes back, quiet, oracle. Started by tests/faults/outages; everything
happens on loopback, on a stack of its own, and ends by itself."""

import argparse
import contextlib
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter

import faults
import proxy
from faults import ROOT, STACK, Api, BulkClient, Client, NodeClient, SourceClient, Subscriber, Tables, local, probe, wait_for_quiet
from oracle import CustomerHistory, bulk_histories, check, check_bulk, check_nodes, check_reading

CLIENTS = 6
INSTANCES = 2
# The server's deadline of a request (CONTACTHUB_REQUEST_DEADLINE_MS), and what a machine under load may add to it.
DEADLINE_SECONDS, GRACE_SECONDS = 15, 3
# What a process gives itself to stop: a worker, and a gateway, whose clients wait for answers.
STOP_SECONDS = {"worker": 5, "gateway": 12}
BEFORE_SECONDS = AFTER_SECONDS = 5
RECOVERY_SECONDS = 120
READY_ANSWERS = 20
WORKERS = ("customer-merge", "event-ingest", "configuration", "aggregate-sync", "stats-rollup", "bulk-processor")
DISK_BYTES = {"postgres": 1200 << 20, "kafka": 600 << 20}
DATA = {"postgres": STACK / "pg/data", "kafka": STACK / "kafka/data"}


# --- what clients are told -----------------------------------------------------------------------------------------------


class Answers:
    """All answers of all clients; those that are not clear are faults. Broken connections are none where a gateway is restarted."""

    def __init__(self, may_break=False):
        self.lock, self.may_break = threading.Lock(), may_break
        self.statuses, self.refused, self.faults = Counter(), Counter(), Counter()
        self.slowest = 0

    def take(self, method, path, status, headers, text, seconds):
        what = f"{method} {path.split('?')[0].split('/')[1]}"
        wrong = self.judge(status, headers, text, seconds)
        with self.lock:
            self.statuses[status] += 1
            if status >= 500:  # put off or of unknown outcome
                self.refused[f"{what}: {status}"] += 1
            self.slowest = max(self.slowest, seconds)
            if wrong:
                self.faults[f"{what}: {wrong}"] += 1

    def judge(self, status, headers, text, seconds):
        if seconds > DEADLINE_SECONDS + GRACE_SECONDS:
            return f"{status} after more than its deadline"
        if status == 0:
            return None if self.may_break else "broken connection"
        if status < 500:
            return None
        if status not in (503, 504):
            return f"answered {status}"
        if not (headers.get("Retry-After") or "").isdigit():
            return f"{status} without Retry-After"
        return None if is_error_body(headers, text) else f"{status} without a clear body"


def is_error_body(headers, text):
    try:
        body = json.loads(text)
    except ValueError:
        return False
    return "json" in (headers.get("Content-Type") or "") and isinstance(body, dict) and bool(body.get("message"))


def watched(answers):
    """An Api class whose answers are looked at."""

    class Watched(Api):
        def answered(self, *what):
            answers.take(*what)

    return Watched


# --- the stack -------------------------------------------------------------------------------------------------------------


def sv(*words):
    return subprocess.run(["sv", "-w", "30", *words[:-1], STACK / "service" / words[-1]], check=True, stdout=subprocess.DEVNULL)


def processes():
    """Name -> pid of what runs."""
    out = subprocess.run([ROOT / "deploy/local/status"], env=os.environ | {"CONTACTHUB_STACK": str(STACK)}, text=True,
                         stdout=subprocess.PIPE).stdout
    return {parts[0]: int(parts[1]) for parts in map(str.split, out.splitlines()) if len(parts) >= 3 and parts[1].isdigit()}


def services():
    return sorted(path.name for path in (STACK / "service").iterdir())


def instances(*names):
    return [service for service in services() if service.split(".")[0] in names]


class Stack:
    """What a scenario works on; `undo` is run in the end, last in first out."""

    def __init__(self, undo, binaries):
        self.undo, self.binaries = undo, binaries
        self.note = ""  # what a scenario wants to have reported
        self.faults = []

    def local(self, script, *arguments, **environment):
        return local(script, *arguments, CONTACTHUB_BIN=self.binaries, CONTACTHUB_INSTANCES=INSTANCES, **environment)

    def up(self):
        self.port_base = int(os.environ.get("CONTACTHUB_PORT_BASE") or faults.free_port_base())
        self.local("up", CONTACTHUB_PORT_BASE=self.port_base)
        self.env = faults.read_env()
        faults.make_aggregate(self.env)

    def port(self, index):
        """The ports behind the stack's own are the proxy's."""
        return self.port_base + index


def settle(stack):
    """Before the load: each gateway has its stores again, and a write succeeds. (Every request for readiness is a new connection,
    which may reach any of the gateways.)"""
    row, deadline = 0, time.monotonic() + RECOVERY_SECONDS
    while row < READY_ANSWERS:
        try:
            urllib.request.urlopen(stack.env["CONTACTHUB_URL"] + "/hub/v1/health/ready", timeout=RECOVERY_SECONDS).close()
            row += 1
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"outages: a gateway is not ready before the outage: {error}")
            row = 0
            time.sleep(0.1)
    probe(stack.env, RECOVERY_SECONDS)


# --- a store is gone -----------------------------------------------------------------------------------------------------


def gone(store):
    def outage(stack, seconds):
        sv("down", store)
        time.sleep(seconds)
        sv("up", store)

    return outage


# --- processes are stopped meanwhile --------------------------------------------------------------------------------------


def seconds_to_end(pid, limit):
    """From TERM until the process is gone; None when it is not gone by then."""
    began = time.monotonic()
    try:
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < began + limit:
            os.kill(pid, 0)
            time.sleep(0.02)
        return None
    except ProcessLookupError:
        return time.monotonic() - began


def stopped_without(store):
    """Each process is asked to stop again and again, at any moment of its life: the supervisor starts it anew."""
    def outage(stack, seconds):
        sv("down", store)
        chance, until, most = random.Random(1), time.monotonic() + seconds, Counter()
        while time.monotonic() < until:
            service, pid = chance.choice([(name, pid) for name, pid in processes().items() if name not in faults.STORES])
            name = service.split(".")[0]
            limit = STOP_SECONDS["gateway" if name == "gateway" else "worker"] + GRACE_SECONDS
            took = seconds_to_end(pid, limit)
            if took is None:
                stack.faults.append(f"{service} did not end within {limit} s after TERM")
            most[name] = max(most[name], took or limit)
            time.sleep(chance.choice((0.01, 0.1, 1)) * chance.random())
        stack.note = "the longest stops: " + ", ".join(f"{name} {took:.1f} s" for name, took in most.items())
        sv("up", store)

    return outage


# --- its disk is full ----------------------------------------------------------------------------------------------------


def on_small_disk(store):
    """The store's data moves to a file system of its own while the store is down."""

    def prepare(stack):
        data = DATA[store]
        owner = data.stat()
        sv("down", store)
        aside = data.with_name("aside")
        data.rename(aside)
        data.mkdir()
        options = f"size={DISK_BYTES[store]},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "contacthub-outage", data], check=True)
        stack.undo.callback(subprocess.run, ["umount", "-l", data], check=True)
        stack.undo.callback(stack.local, "down")
        subprocess.run(["cp", "-a", "--sparse=always", f"{aside}/.", data], check=True)
        shutil.rmtree(aside)
        sv("up", store)
        settle(stack)

    return prepare


def fill(path, number):
    """Takes all that is left, in pieces: somebody else may be faster, and a piece that does not fit is not taken at all."""
    at, size = 0, 64 << 20
    with open(path / f"ballast.{number}", "wb") as file:
        while size >= 4096:
            try:
                os.posix_fallocate(file.fileno(), at, size)
                at += size
            except OSError:
                size //= 2


def switch_log(stack):
    """PostgreSQL asks for a new segment of its log, for which there is no room: it panics, which full tables do not make it do."""
    subprocess.run(["psql", "-X", "-q", "-d", stack.env["CONTACTHUB_PG"], "-c", "SELECT pg_switch_wal()"], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def disk_full(store):
    """Whatever becomes free is taken, too; PostgreSQL's own log meets the full disk in the second half."""
    def outage(stack, seconds):
        began, rounds, pid = time.monotonic(), 0, processes().get(store)
        while time.monotonic() < began + seconds:
            fill(DATA[store], rounds)
            rounds += 1
            time.sleep(0.1)
            if store == "postgres" and time.monotonic() > began + seconds / 2:
                switch_log(stack)
        stack.note = f"{store} stopped by itself" if processes().get(store) != pid else f"{store} went on"
        for ballast in DATA[store].glob("ballast.*"):
            ballast.unlink()

    return outage


# --- the network is spoiled ----------------------------------------------------------------------------------------------


def advertise_proxy(stack):
    """A second listener of the broker, which tells its clients to come through the proxy."""
    kafka, listener, shown = (stack.port(i) for i in (1, 5, 6))
    path = STACK / "kafka/server.properties"
    text = path.read_text().replace(f"listeners=BROKER://127.0.0.1:{kafka},", f"listeners=BROKER://127.0.0.1:{kafka},PROXIED://127.0.0.1:{listener},")
    path.write_text(text + f"advertised.listeners=BROKER://127.0.0.1:{kafka},PROXIED://127.0.0.1:{shown}\n"
                    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,PROXIED:PLAINTEXT\n")
    sv("restart", "kafka")


def start_proxy(stack, pairs):
    words = [sys.executable, pathlib.Path(proxy.__file__), *(f"{listen}:{target}" for listen, target in pairs)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.undo.callback(process.wait)
    stack.undo.callback(process.kill)
    stack.undo.callback(stack.local, "down")  # while the network is whole: nobody waits for a broker then
    if process.stdout.readline() != "ready\n":
        raise SystemExit("outages: the proxy did not start")
    stack.proxy = process


def spoil(stack, mode):
    """Answers how often the mode of before was met."""
    stack.proxy.stdin.write(mode + "\n")
    stack.proxy.stdin.flush()
    return int(stack.proxy.stdout.readline())


def through_proxy(stack, service, **settings):
    """Writes the service's run file anew, with settings that go before those of the stack, and restarts it."""
    name, _, instance = service.partition(".")
    words = [f"{key}={value}" for key, value in settings.items()] + [f"CONTACTHUB_INSTANCE={instance or 0}", f"CONTACTHUB_STACK={STACK}"]
    command = shlex.join(map(str, ["chpst", "-e", STACK / "environment", "env", *words, stack.binaries / name]))
    (STACK / "service" / service / "run").write_text(
        f"#!/bin/sh\nexec >>{shlex.quote(str(STACK / 'logs' / f'{service}.log'))} 2>&1 </dev/null\nexec {command}\n")
    sv("restart", service)


def proxied(names, store):
    def prepare(stack):
        if store == "kafka":
            advertise_proxy(stack)
            start_proxy(stack, [(stack.port(6), stack.port(5))])
            settings = {"CONTACTHUB_KAFKA": f"127.0.0.1:{stack.port(6)}"}
        else:
            start_proxy(stack, [(stack.port(6), stack.port(3))])
            settings = {"CONTACTHUB_PG": stack.env["CONTACTHUB_PG"].replace(f":{stack.port(3)}/", f":{stack.port(6)}/")}
        for service in instances(*names):
            through_proxy(stack, service, **settings)
        settle(stack)

    return prepare


def network(mode):
    def outage(stack, seconds):
        if not spoil(stack, mode):
            stack.faults.append("nothing went through the proxy")
        time.sleep(seconds)
        met = spoil(stack, proxy.PASS)
        stack.note = f"{mode} was met {met} times"
        if not met:
            stack.faults.append(f"the network was not {mode} for anybody")

    return outage


# --- an upgrade ----------------------------------------------------------------------------------------------------------


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def before_newest_migration():
    newest = sorted((ROOT / "deploy/sql").glob("*.sql"))[-1]
    return git("log", "--diff-filter=A", "--format=%h", "-1", "--", str(newest)) + "^"


def build_old(reference, directory):
    """The binaries of an earlier commit, from the repository's own objects; kept for the next run."""
    commit = git("rev-parse", "--verify", reference + "^{commit}")
    place = directory / commit[:12]
    if not (place / "build/bin/contacthubctl").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        subprocess.run(f"git -C '{ROOT}' archive {commit} | tar -x -C '{place}'", shell=True, check=True)
        for words in (["cmake", "-S", place, "-B", place / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"],
                      ["nice", "ninja", "-j2", "-C", place / "build", "contacthubctl", "gateway", *WORKERS]):
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return place / "build/bin"


def link(directory, name, target):
    """At once: a supervisor may look at any moment."""
    new = directory / f"{name}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(target / name)
    new.replace(directory / name)


def runs_from(pid):
    return pathlib.Path(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")).parent


def upgrade(stack, seconds):
    """The tables first, then process by process, old and new side by side."""
    new, links = faults.BIN.resolve(), stack.binaries
    link(links, "contacthubctl", new)
    stack.local("ctl", "migrate")
    stack.local("ctl", "topics")
    for name in (*WORKERS, "gateway"):
        link(links, name, new)
        first, *others = instances(name)
        sv("restart", first)
        time.sleep(seconds / 10)
        running = processes()
        if not others or any(runs_from(running[other]) == new for other in others):
            stack.faults.append(f"old and new {name} did not run side by side")
        for other in others:
            sv("restart", other)
    time.sleep(1)
    running = processes()
    for name in instances(*WORKERS, "gateway"):
        if runs_from(running[name]) != new:
            stack.faults.append(f"{name} was not upgraded")


# --- the scenarios -------------------------------------------------------------------------------------------------------


class Scenario:
    """prepare and outage work on a Stack; must_refuse: an outage that nobody noticed was none; old: begins with old binaries;
    may_break: gateways are restarted."""

    def __init__(self, name, outage, seconds, prepare=None, must_refuse=True, old=False, mounts=False, may_break=False):
        self.name, self.outage, self.seconds, self.prepare = name, outage, seconds, prepare
        self.must_refuse, self.old, self.mounts, self.may_break = must_refuse, old, mounts, may_break or old


SCENARIOS = [
    Scenario("kafka-gone", gone("kafka"), 60),
    Scenario("postgres-gone", gone("postgres"), 60),
    Scenario("stops-without-kafka", stopped_without("kafka"), 60, may_break=True),
    Scenario("stops-without-postgres", stopped_without("postgres"), 40, may_break=True),
    Scenario("kafka-disk-full", disk_full("kafka"), 40, on_small_disk("kafka"), mounts=True),
    Scenario("postgres-disk-full", disk_full("postgres"), 40, on_small_disk("postgres"), mounts=True),
    *(Scenario(f"{who}-{store}-{mode}", network(mode), 30, proxied(names, store), must_refuse=mode != proxy.SLOW)
      for who, names in (("workers", WORKERS), ("gateway", ("gateway",)))
      for store in ("postgres", "kafka")
      for mode in (proxy.CUT, proxy.HOLE, proxy.SLOW)),
    Scenario("upgrade", upgrade, 20, must_refuse=False, old=True),
]


def start_clients(env, answers, seed, stop):
    api = watched(answers)
    threads = [Client(n, env, seed, stop) for n in range(CLIENTS)]
    threads += [SourceClient(env, seed, stop), NodeClient(env, seed, stop), BulkClient(env, seed, stop), Subscriber(env, seed, stop)]
    for thread in threads:
        thread.api_class = api
        thread.start()
    return threads[:CLIENTS], *threads[CLIENTS:]


def judge(stack, clients, sources, nodes, bulk, subscriber, answers):
    """All faults, when everything is quiet."""
    markers = wait_for_quiet(stack.env)
    subscriber.read_to_the_end()
    snapshot, jobs = Tables(stack.env).snapshot(), Tables(stack.env).bulk_jobs()
    of_rows, events_of_rows = bulk_histories(bulk.files, jobs)
    customers = [h for c in clients for h in c.customers] + [CustomerHistory("probe", created="ok")] + of_rows
    events = [e for c in clients for e in c.events] + events_of_rows + [e for n in nodes.nodes for e in n.events] + markers
    found = check(customers, events, snapshot, sources.sources)
    found += check_reading(subscriber.reading, snapshot) + check_bulk(bulk.files, jobs) + check_nodes(nodes.nodes, snapshot) + faults.recount_faults()
    refusals = sum((c.refusals for c in (*clients, sources, nodes, bulk, subscriber)), Counter())
    if refusals:
        found.append(f"requests that should succeed were refused: {dict(refusals)}")
    down = set(services()) - processes().keys()
    if down:
        found.append(f"down: {', '.join(sorted(down))}")
    return found + [f"{what} ({n} times)" for what, n in answers.faults.items()]


def play(scenario, stack, seconds):
    """Answers the line of the report."""
    answers, stop = Answers(may_break=scenario.may_break), threading.Event()
    clients, *others = start_clients(stack.env, answers, scenario.name, stop)
    try:
        time.sleep(BEFORE_SECONDS)
        before = answers.refused.copy()
        scenario.outage(stack, seconds)
        recovered = probe(stack.env, RECOVERY_SECONDS)
        time.sleep(AFTER_SECONDS)
    finally:
        stop.set()
        for thread in (*clients, *others):
            thread.join()
    for thread in (*clients, *others):
        if thread.failure:
            raise thread.failure
    if before:
        stack.faults.append(f"requests were refused before anything was taken away: {dict(before)}")
    if scenario.must_refuse and answers.refused == before:
        stack.faults.append("no request noticed it")
    stack.faults += judge(stack, clients, *others, answers)
    return (f"{sum(answers.statuses.values())} requests {dict(sorted(answers.statuses.items()))}, slowest {answers.slowest:.1f} s, "
            f"a write succeeded after {recovered:.1f} s{'; ' if stack.note else ''}{stack.note}")


def run(scenario, seconds, old, keep):
    """True when it was passed."""
    local("wipe")
    with contextlib.ExitStack() as undo:
        if not keep:
            undo.callback(local, "wipe")
        links = None
        if scenario.old:
            links = pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="contacthub-upgrade-")))
            links.chmod(0o755)
            for name in ("contacthubctl", "gateway", *WORKERS):
                link(links, name, old)
        stack = Stack(undo, links or faults.BIN)
        undo.callback(stack.local, "down")
        try:
            stack.up()
            if scenario.prepare:
                scenario.prepare(stack)
            line = play(scenario, stack, seconds)
        except (SystemExit, AssertionError, subprocess.CalledProcessError) as failure:
            line = "not judged"
            stack.faults.append(str(failure))
    print(f"{scenario.name:24} {seconds} s: {line}", flush=True)
    for fault in stack.faults[:20]:
        print(f"FAULT     {fault}", flush=True)
    return not stack.faults


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, help="length of the outage; each scenario has its own")
    parser.add_argument("--from", dest="old", help="commit that is upgraded from (the one before the newest migration)")
    parser.add_argument("--keep", action="store_true", help="leave the stack's directory afterwards")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(by_name)}")
    if arguments.list:
        return print("\n".join(by_name))
    chosen = [by_name[name] for name in arguments.names or by_name]
    mounting = [scenario.name for scenario in chosen if scenario.mounts]
    if mounting and os.geteuid() != 0:
        parser.error(f"{', '.join(mounting)}: a small file system is mounted, which takes root; name others, or run it as root")
    old = build_old(arguments.old or before_newest_migration(), ROOT / "build-old") if any(s.old for s in chosen) else None
    passed = [run(scenario, arguments.seconds or scenario.seconds, old, arguments.keep) for scenario in chosen]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
