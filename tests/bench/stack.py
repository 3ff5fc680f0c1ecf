"""The bench's own stack: started, asked, and its processes' CPU and memory read from /proc."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = pathlib.Path(os.environ.get("CONTACTHUB_BENCH_STACK") or ROOT / ".stack-bench")
BIN = pathlib.Path(os.environ.get("CONTACTHUB_BIN") or ROOT / "build/bin")
TICKS = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))
REST_S = 300
SUPERVISOR_S = 20  # it looks for new services every five seconds
FOLLOWERS = ("stats-rollup", "aggregate-sync")  # of the facts
CLIENTS = "SELECT pid, application_name FROM pg_stat_activity WHERE application_name <> ''"


def backend_of(process):
    return f"postgres of {process}"


def local(script, *arguments, check=True, **environment):
    values = os.environ | {"CONTACTHUB_STACK": str(STACK)} | {k: str(v) for k, v in environment.items()}
    return subprocess.run([ROOT / "deploy/local" / script, *arguments], env=values, check=check, text=True, stdout=subprocess.PIPE)


def wipe():
    """The stack, and what the tools have put beside it."""
    local("wipe")
    for pattern in ("bench-ids", "ids-*", "removed-*"):
        for path in STACK.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if STACK.is_dir() and not any(STACK.iterdir()):
        STACK.rmdir()


def free_port_base():
    wanted = os.environ.get("CONTACTHUB_PORT_BASE", "22080")
    words = ["bash", "-c", 'source "$0" && free_port_base "$1"', ROOT / "deploy/local/lib.sh", wanted]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def stat_fields(path):
    try:
        return pathlib.Path(path).read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 52


def cpu_of(pid, ended_children=False):
    """User and system seconds of a process; if asked, those of the children that it has outlived, too."""
    fields = stat_fields(f"/proc/{pid}/stat")
    return sum(map(int, fields[11:15] if ended_children else fields[11:13])) / TICKS


def children_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def memory_mib(pid):
    """(now, most so far)"""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


def machine_busy_s():
    """Busy seconds of all cores, whoever it was."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICKS


class Sql:
    """One psql that stays: a question costs a round trip, not a process."""

    END = "-- end of the answer --"

    def __init__(self, address):
        command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", address]
        self.psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask("SET search_path = contacthub")

    def ask(self, text):
        self.psql.stdin.write(f"{text};\n\\echo {self.END}\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.rstrip("\n") == self.END:
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise SystemExit(f"bench: PostgreSQL refuses: {text[:200]}")


class Stack:
    def __init__(self):
        lines = (STACK / "env").read_text().splitlines()
        self.env = dict(line.split("=", 1) for line in lines if "=" in line)
        self.host = self.env["CONTACTHUB_URL"].removeprefix("http://")
        self.workspace, self.node = self.env["CONTACTHUB_WORKSPACE"], self.env["CONTACTHUB_NODE"]
        self.base = f"/hub/v1/workspaces/{self.workspace}"
        self.sql = Sql(self.env["CONTACTHUB_PG"]).ask
        self.ids = STACK / "bench-ids"
        self.keys = 0  # customers bench-1, bench-2, ...
        self.learn_pids()

    # --- processes ---

    def learn_pids(self):
        rows = [line.split() for line in local("status", check=False).stdout.splitlines()]
        self.pids = {row[0]: row[1] for row in rows if row[1] != "down"}

    def cpu(self):
        """name -> CPU seconds. Of PostgreSQL those of each worker's backends by themselves (backend_of); "postgres" is all the rest of it,
        backends that have ended included."""
        seconds = {name: cpu_of(pid) for name, pid in self.pids.items()}
        postgres = self.pids["postgres"]
        seconds["postgres"] = cpu_of(postgres, True)
        clients = dict(line.split("|") for line in self.sql(CLIENTS).splitlines())
        for pid in children_of(postgres):
            name = clients.get(pid)
            part = backend_of(name) if name in self.pids else "postgres"
            seconds[part] = seconds.get(part, 0) + cpu_of(pid)
        return seconds

    def service(self, verb, *names):
        for name in names:
            subprocess.run(["sv", "-w", "20", verb, STACK / "service" / name], check=True, stdout=subprocess.PIPE)
        self.learn_pids()

    def add_instance(self, name):
        """Another process of the same kind, by its own name; not started."""
        first, added = STACK / "service" / name, STACK / "service" / f"{name}.1"
        added.mkdir()
        (added / "down").touch()
        (added / "run").write_text((first / "run").read_text().rstrip() + ".1\n")
        (added / "run").chmod(0o755)
        deadline = time.monotonic() + SUPERVISOR_S
        while not (added / "supervise/ok").exists():
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: nobody supervises {added.name}")
            time.sleep(0.1)
        return added.name

    def remove_instance(self, added):
        """Its supervisor may write until it has gone: the folder is only put away, and goes with the stack."""
        service = STACK / "service" / added
        subprocess.run(["sv", "exit", service], check=True, stdout=subprocess.PIPE)
        service.rename(STACK / f"removed-{added}-{time.time_ns()}")

    def kill(self, name):
        os.kill(int(self.pids[name]), signal.SIGKILL)

    def log(self, name):
        path = STACK / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- the API ---

    def request(self, method, path, body=None, admin=False, raw=None, kind="application/json", timeout=60):
        token = self.env["CONTACTHUB_ADMIN_TOKEN" if admin else "CONTACTHUB_TOKEN"]
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        connection.request(method, self.base + path, raw if raw is not None else json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if not 200 <= answer.status < 300:
            raise SystemExit(f"bench: {method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text else {}

    def is_ready(self):
        try:
            connection = http.client.HTTPConnection(self.host, timeout=2)
            connection.request("GET", "/hub/v1/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def make_node(self, name):
        """An entry node matched on externalId."""
        body = {"name": name, "mandatoryProperties": [], "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": False}}
        return self.request("POST", "/configuration/nodes/entries", body, admin=True)["id"]

    # --- how far the workers are ---

    def position(self, worker=None):
        """Records that a worker, or all of them, has taken so far."""
        return int(self.sql("SELECT COALESCE(sum(next_offset), 0) FROM consumer_offsets" + (f" WHERE worker = '{worker}'" if worker else "")))

    def followers_are_even(self):
        """All that runs of them reads the same records: who has read fewer is behind, and may be amid a long transaction."""
        return len({self.position(name) for name in FOLLOWERS if name in self.pids}) <= 1

    def rest(self, pause_s=0.4):
        """Waits until the offsets stand still; answers the seconds until they did."""
        began, before = time.monotonic(), None
        while time.monotonic() - began < REST_S:
            now = self.position()
            if now == before and self.followers_are_even():
                return time.monotonic() - began - pause_s
            before = now
            time.sleep(pause_s)
        raise SystemExit("bench: the workers do not come to rest")

    def stream_end(self):
        row = self.sql(f"SELECT last_offset, last_us / 1000 FROM stream_heads WHERE workspace_id = '{self.workspace}'")
        return row.split("|") if row else ["0", "0"]


def whole(cpu):
    """The same with PostgreSQL in one."""
    parts = {name for name in cpu if name.startswith(backend_of(""))}
    return {name: cpu[name] for name in cpu if name not in parts} | {"postgres": sum(cpu[name] for name in parts | {"postgres"})}


def spent(before, after):
    """CPU seconds of each name. A backend that has ended is part of the rest of PostgreSQL afterwards, with all of its life."""
    cpu = {name: seconds - before.get(name, 0) for name, seconds in after.items()}
    ended = sum(seconds - after.get(name, 0) for name, seconds in before.items() if name.startswith(backend_of("")) and seconds > after.get(name, 0))
    cpu["postgres"] -= ended
    return {name: max(seconds, 0) for name, seconds in cpu.items()}


class Meter:
    """What all processes spend between two moments."""

    def __init__(self, stack):
        self.stack = stack
        self.before, self.began = stack.cpu(), time.monotonic()
        self.busy, self.own = machine_busy_s(), self.tools()

    @staticmethod
    def tools():
        times = os.times()
        return times.children_user + times.children_system

    def read(self):
        """(process -> CPU seconds, CPU seconds of the load tool, of everybody else on the machine, seconds)"""
        cpu = spent(self.before, self.stack.cpu())
        tools, seconds = self.tools() - self.own, time.monotonic() - self.began
        others = max(machine_busy_s() - self.busy - sum(cpu.values()) - tools, 0)
        return cpu, tools, others, seconds
