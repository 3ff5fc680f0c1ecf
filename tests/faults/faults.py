"""The fault run: load, chaos, quiet, oracle. Started by tests/faults/run; everything happens on loopback and ends by itself."""

import argparse
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

from oracle import (OK, OTHER, PROFILE, REFUSED, UNKNOWN, BulkFile, BulkJob, CustomerHistory, EventHistory, ItemHistory, NodeHistory, Reading,
                    Snapshot, Write, bulk_histories, check, check_bulk, check_nodes, check_reading)

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = pathlib.Path(os.environ.get("CONTACTHUB_FAULTS_STACK", ROOT / ".stack-faults"))
BIN = pathlib.Path(os.environ.get("CONTACTHUB_FAULTS_BIN", ROOT / "build-faults/bin"))
CLIENTS = 8
INSTANCES = 2
STORES = ("kafka", "postgres")
STORE_SECONDS = 20
FREEZE_SECONDS = (2, 30)
# Above the server's own deadline and the longest freeze together: a request that takes longer hangs, and that is a fault.
HANG_SECONDS = 60
# Until every gateway knows what another one has written into the configuration.
SPREAD_SECONDS = 5
# Every window between two steps that a kill can fall into (common/crash.h); one that was not hit fails a long run.
WINDOWS = sorted({name for directory in ("common", "gateway", "workers") for path in (ROOT / directory).rglob("*.c")
                  for name in re.findall(r'CRASH_POINT\("([a-z-]+)"\)', path.read_text())})
# Results of commands without an Idempotency-Key are kept for fifteen minutes: in a run as long as this they tell what became of a 504.
RESULTS_SECONDS = 600
# Rows of a bulk job, and of all jobs on their way: small, so that a job is made of many steps.
BULK_ROWS = 300
BULK_WINDOW = 20
MARKERS = 128  # that eight partitions have all of them is as good as sure
EMPTY_ROWS = 3  # a node that is emptied needs some steps for the others
ENTITIES = {1: "CUSTOMER", 2: "EVENT"}
OPERATIONS = {1: "CREATE", 2: "UPDATE", 3: "DELETE"}


def local(script, *arguments, **environment):
    """Runs a script of deploy/local against the stack of this run."""
    values = os.environ | {
        "CONTACTHUB_STACK": str(STACK),
        "CONTACTHUB_BIN": str(BIN),
        "CONTACTHUB_INSTANCES": str(INSTANCES),
        "CONTACTHUB_CRASH_LOG": str(STACK / "crashes"),
        "CONTACTHUB_EMPTY_ROWS": str(EMPTY_ROWS),
        "CONTACTHUB_BULK_WINDOW": str(BULK_WINDOW),
        "CONTACTHUB_BULK_SHARED_WINDOW": str(BULK_WINDOW),
    }
    values |= {key: str(value) for key, value in environment.items()}
    return subprocess.run([ROOT / "deploy/local" / script, *arguments], env=values, check=True, text=True, stdout=subprocess.PIPE)


def free_port_base():
    words = ["bash", "-c", 'source "$0" && free_port_base 21080', ROOT / "deploy/local/lib.sh"]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


class Api:
    """One client's connection. A request has one of three outcomes; a broken connection or 5xx is UNKNOWN, and the answer of a 504
    its `data`, which names the command."""

    def __init__(self, env, slowest, token="CONTACTHUB_TOKEN"):
        self.host = env["CONTACTHUB_URL"].removeprefix("http://")
        self.base = f"/hub/v1/workspaces/{env['CONTACTHUB_WORKSPACE']}"
        self.headers = {"Authorization": f"Bearer {env[token]}"}
        self.connection = None
        self.slowest = slowest

    def request(self, method, path, body=None, key=None, content_type="application/json"):
        headers = self.headers | {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        began = time.monotonic()
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, timeout=HANG_SECONDS)
            self.connection.request(method, self.base + path, body, headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            status, text, headers = 0, b"", {}
            time.sleep(0.05)
        else:
            status, headers = response.status, response.headers
        self.slowest.append(time.monotonic() - began)
        self.answered(method, path, status, headers, text, self.slowest[-1])
        if status in (503, 429):
            time.sleep(0.2)
        outcome = OK if 200 <= status < 300 else REFUSED if 400 <= status < 500 and status != 429 else UNKNOWN
        answer = json.loads(text) if text and (outcome == OK or status == 504) else {}
        return outcome, answer if outcome == OK else answer.get("data") or {}, status

    def write(self, value, *request):
        """The write of a value, as the oracle wants it."""
        outcome, answer, status = self.request(*request)
        return Write(value, outcome, answer.get("commandId")), answer, status

    def answered(self, method, path, status, headers, text, seconds):
        """For those who want to look at each answer; status 0 is a broken connection."""


class Actor(threading.Thread):
    """Uses the API by itself until it is told to stop, or the run breaks off."""

    api_class = Api
    token = "CONTACTHUB_TOKEN"

    def __init__(self, name, env, seed, stop):
        super().__init__(name=name, daemon=True)
        self.env, self.stop_event, self.random = env, stop, random.Random(f"{seed}-{name}")
        self.slowest, self.refusals, self.failure = [], Counter(), None

    def run(self):
        try:
            self.api = self.api_class(self.env, self.slowest, self.token)
            self.act()
        except Exception as fault:  # reported by the main thread
            self.failure = fault


class Client(Actor):
    """Writes to its own customers only, each value once, and notes every outcome."""

    def __init__(self, number, env, seed, stop):
        super().__init__(f"client-{number}", env, seed, stop)
        self.number, self.customers, self.events = number, [], []
        self.session_ids = {}  # of those that have not ended
        self.node = env["CONTACTHUB_NODE"]
        self.serial = 0
        self.orphans = {}  # external id -> session with events, which this customer is to be given

    def unique(self, kind):
        self.serial += 1
        return f"{kind}{self.number}-{self.serial}"

    def household(self):
        """Customers with one address are one profile of the aggregate node; each write may move them to another."""
        return {"base": {"contacts": {"email": f"h{self.number}-{self.random.randrange(20)}@example.com"}}}

    def act(self):
        while not self.stop_event.is_set():
            self.step()

    def step(self):
        live = [c for c in self.customers if c.created == OK and c.deleted is None]
        if len(live) < 5:
            return self.create()
        actions = [(self.create, 2), (self.change, 6), (self.event, 8), (self.session, 1), (self.end_session, 1), (self.delete, 1),
                   (self.merge, 2), (self.subscription, 3), (self.change_event, 3), (self.delete_event, 1)]
        action = self.random.choices([a for a, _ in actions], [w for _, w in actions])[0]
        return action() if action == self.create else action(self.random.choice(live))

    def note_refusal(self, what, status):
        self.refusals[f"{what} {status}"] += 1

    def certain(self, method, path, body, key):
        """Repeats with the same Idempotency-Key until the outcome is known (or the run ends)."""
        while True:
            outcome, answer, status = self.api.request(method, path, body, key)
            if outcome != UNKNOWN or self.stop_event.is_set():
                return outcome, answer, status

    def create(self):
        history = CustomerHistory(self.unique("c"))
        body = {"nodeId": self.node, "externalId": history.external_id} | self.household()
        self.customers.append(history)
        if self.random.random() < 0.5:
            history.created, answer, status = self.certain("POST", "/customers", body, f"key-{history.external_id}")
        else:
            history.created, answer, status = self.api.request("POST", "/customers", body)
            history.created_by = answer.get("commandId")
        history.id = answer.get("id")
        if history.created == REFUSED:
            self.note_refusal("create", status)

    def change(self, history):
        value = self.unique("v")
        method = self.random.choice(["PATCH", "PUT"])
        body = {"extra": value} | ({"nodeId": self.node, "externalId": history.external_id} if method == "PUT" else {})
        self.note_change(history.changes, "change", *self.api.write(value, method, f"/customers/{history.id}", body))

    def merge(self, history):
        value = self.unique("v")
        body = {"nodeId": self.node, "externalId": history.external_id, "extra": value} | self.household()
        write, answer, status = self.api.write(value, "POST", "/customers", body)
        self.note_change(history.changes, "merge", write, answer, status)
        if write.outcome == OK and answer["id"] != history.id:
            raise AssertionError(f"merge of {history.external_id} answered another customer")

    def note_change(self, changes, what, write, answer, status):
        changes.append(write)
        if write.outcome == REFUSED:
            self.note_refusal(what, status)
        if status == 504 and not write.command:
            self.note_refusal(f"{what} without its command", status)

    def subscription(self, history):
        """Makes one, or changes or deletes one that is there."""
        live = [item for item in history.subscriptions if item.created.outcome == OK and item.deleted is None]
        way = self.random.choice(["make", "change", "change", "delete"]) if live else "make"
        path, writes, value = f"/customers/{history.id}/subscriptions", [], self.unique("v")
        if way == "make":
            key = self.unique("i")
            self.note_change(writes, way, *self.api.write(value, "POST", path, {"id": key, "name": value, "subscribed": True}))
            return history.subscriptions.append(ItemHistory(key, writes[0]))
        item = self.random.choice(live)
        if way == "change":
            body = {"id": item.key, "name": value, "subscribed": True}
            return self.note_change(item.changes, way, *self.api.write(value, "PUT", f"{path}/{item.key}", body))
        item.deleted = Write(None, UNKNOWN)
        self.note_change(writes, way, *self.api.write(None, "DELETE", f"{path}/{item.key}"))
        item.deleted = writes[0]

    def session(self, history):
        """One that nobody has heard of, or one that has events already."""
        value = self.orphans.pop(history.external_id, None) or self.unique("s")
        outcome, answer, status = self.api.request("POST", f"/customers/{history.id}/sessions", {"value": value})
        history.sessions.append((value, outcome))
        if outcome == OK:
            self.session_ids[value] = answer["id"]
        if outcome == REFUSED:
            self.note_refusal("session", status)

    def end_session(self, history):
        """Events of before stay the customer's; none comes after."""
        sessions = [value for value, _ in history.sessions if value in self.session_ids]
        if not sessions:
            return
        outcome, _, status = self.api.request("DELETE", f"/customers/{history.id}/sessions/{self.session_ids.pop(sessions[0])}")
        if outcome == REFUSED:
            self.note_refusal("session's end", status)

    def delete(self, history):
        history.deleted = UNKNOWN
        history.deleted, answer, status = self.api.request("DELETE", f"/customers/{history.id}")
        history.deleted_by = answer.get("commandId")
        if history.deleted == REFUSED:
            self.note_refusal("delete", status)

    def event(self, history):
        marker = self.unique("e")
        body = {"type": "genericActiveEvent", "context": "OTHER", "properties": {"name": marker}}
        note = EventHistory(marker, UNKNOWN, None, history.external_id)
        way = self.random.choice(["customer", "session", "external", "orphan"])
        sessions = [value for value, _ in history.sessions if value in self.session_ids]
        if way == "orphan":
            sessions = [self.orphans.setdefault(history.external_id, self.unique("s"))]
        if way in ("session", "orphan") and sessions:
            note.session = self.random.choice(sessions)
            body["bringBackProperties"] = {"type": "SESSION_ID", "value": note.session, "nodeId": self.node}
        elif way == "external":
            note.by_external_id = True
            body["bringBackProperties"] = {"type": "EXTERNAL_ID", "value": history.external_id, "nodeId": self.node}
        else:
            body["customerId"] = history.id
        self.events.append(note)
        if self.random.random() < 0.2:
            note.outcome, answer, status = self.certain("POST", "/events", body, f"key-{marker}")
        else:
            note.outcome, answer, status = self.api.request("POST", "/events", body)
        note.id = answer.get("id")
        if note.outcome == REFUSED:
            self.note_refusal("event", status)

    def readable_event(self, history):
        """One of the customer's that has come through; None when there is none."""
        events = [e for e in self.events if e.customer_external_id == history.external_id and e.outcome == OK and e.deleted is None]
        if not events:
            return None
        event = self.random.choice(events)
        return event if self.api.request("GET", f"/events/{event.id}")[0] == OK else None

    def change_event(self, history):
        event, value = self.readable_event(history), self.unique("w")
        if not event:
            return
        method = self.random.choice(["PATCH", "PUT"])
        properties = {"extraProperties": {"v": value}} | ({"name": event.marker} if method == "PUT" else {})
        body = {"properties": properties} | ({"type": "genericActiveEvent", "context": "OTHER"} if method == "PUT" else {})
        self.note_change(event.changes, f"{method} event", *self.api.write(value, method, f"/events/{event.id}", body))

    def delete_event(self, history):
        event = self.readable_event(history)
        if not event:
            return
        event.deleted = UNKNOWN
        event.deleted, _, status = self.api.request("DELETE", f"/events/{event.id}")
        if event.deleted == REFUSED:
            self.note_refusal("event's delete", status)


class NodeClient(Actor):
    """Makes nodes, gives them other names, puts customers and events into them and empties them: the rules must stand in the log in
    front of these."""

    token = "CONTACTHUB_ADMIN_TOKEN"
    AT_WORK = 5  # of the newest nodes

    def __init__(self, env, seed, stop):
        super().__init__("nodes", env, seed, stop)
        self.nodes = []

    def act(self):
        while not self.stop_event.wait(self.random.uniform(0, 0.1)):
            made = [node for node in self.nodes if node.created == OK][-self.AT_WORK:]
            way = self.random.choices((self.make, self.rename, self.fill, self.event, self.empty), (1, 3, 12, 12, 1))[0] if made else self.make
            way(*([self.random.choice(made)] if way != self.make else []))

    def until_known(self, method, path, body, key=None):
        """A gateway may hear of what another one has written a moment later."""
        deadline = time.monotonic() + SPREAD_SECONDS
        while True:
            outcome, answer, status = self.api.request(method, path, body, key)
            if outcome != REFUSED or time.monotonic() > deadline:
                return outcome, answer, status
            time.sleep(0.1)

    def make(self):
        node = NodeHistory(f"n{len(self.nodes)}")
        self.nodes.append(node)
        body = {"name": node.name, "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": True}}
        while node.created == UNKNOWN and not self.stop_event.is_set():
            node.created, answer, status = self.api.request("POST", "/configuration/nodes/entries", body, f"key-{node.name}")
        if node.created == OK:
            node.id = answer["id"]
        elif node.created == REFUSED:
            self.refusals[f"node {status}"] += 1

    def rename(self, node):
        path, name = f"/configuration/nodes/entries/{node.id}", f"{node.name}/{len(node.names)}"
        outcome, document, status = self.until_known("GET", path, None)
        if outcome == REFUSED:
            self.refusals[f"node {status}"] += 1
        if outcome != OK:
            return
        write, _, status = self.api.write(name, "PUT", path, document | {"name": name})
        node.names.append(write)
        if write.outcome == REFUSED and status != 409:  # the name before was read from another gateway
            self.refusals[f"node's name {status}"] += 1

    def fill(self, node):
        customer = node.new_customer()
        customer.outcome, answer, status = self.until_known("POST", "/customers", {"nodeId": node.id, "externalId": customer.external_id})
        customer.id = answer.get("id")
        if customer.outcome == REFUSED:
            self.refusals[f"customer of a new node {status}"] += 1

    def event(self, node):
        there = [customer for customer in node.customers if customer.id and not customer.emptied]
        if not there:
            return
        event = node.new_event()
        body = {"type": "genericActiveEvent", "context": "OTHER", "customerId": self.random.choice(there).id, "properties": {"name": event.marker}}
        event.outcome, answer, status = self.until_known("POST", "/events", body)
        event.id = answer.get("id")
        if event.outcome == REFUSED:
            self.refusals[f"event of a new node {status}"] += 1

    def empty(self, node):
        events_only = self.random.random() < 0.3
        query = "?eventsOnly=true" if events_only else ""
        outcome, _, status = self.until_known("POST", f"/configuration/nodes/entries/{node.id}/empty{query}", None)
        node.emptied(outcome, events_only)
        if outcome == REFUSED:
            self.refusals[f"emptying {status}"] += 1


class SourceClient(Actor):
    """Makes sources and changes them, slowly."""

    token = "CONTACTHUB_ADMIN_TOKEN"

    def __init__(self, env, seed, stop):
        super().__init__("sources", env, seed, stop)
        self.sources, self.ids, self.changed_at = [], {}, {}

    def act(self):
        for number in range(10000):
            if self.stop_event.wait(self.random.uniform(0, 1)):
                break
            self.step(f"d{number}")

    def step(self, value):
        live = [source for source in self.sources if source.key in self.ids]
        new = len(live) < 3 or self.random.random() < 0.3
        source = ItemHistory(f"source {value}", Write(value, UNKNOWN)) if new else self.random.choice(live)
        body = {"provider": "API", "name": source.key, "description": value, "nodes": [self.env["CONTACTHUB_NODE"]], "enabled": True}
        # a change of unknown outcome may come before this one, which was made without knowing it, and so may one that another gateway has made
        just_changed = time.monotonic() - self.changed_at.get(source.key, 0) < SPREAD_SECONDS
        may_conflict = just_changed or any(change.outcome == UNKNOWN for change in source.changes)
        if new:
            write, answer, status = self.api.write(value, "POST", "/configuration/sources", body)
            source.created = write
            self.sources.append(source)
        else:
            id_ = self.ids[source.key]
            write, answer, status = self.api.write(value, "PUT", f"/configuration/sources/{id_}", body | {"id": id_})
            source.changes.append(write)
        if write.outcome == OK:
            self.ids[source.key] = answer["id"]
            self.changed_at[source.key] = time.monotonic()
        elif (status == 504 and not write.command) or (write.outcome == REFUSED and not (status == 409 and may_conflict)):
            self.refusals[f"source {status}"] += 1


class Subscriber(Actor):
    """Reads the update stream through the API, in pages of any size, and parts of it again, also with a filter."""

    token = "CONTACTHUB_ADMIN_TOKEN"

    def __init__(self, env, seed, stop):
        super().__init__("subscriber", env, seed, stop)
        self.reading = Reading()

    def act(self):
        while not self.stop_event.wait(self.random.uniform(0, 0.1)):
            known = len(self.reading.entries)
            way = self.random.choices(("on", "again", "filtered"), (6, 2, 2))[0]
            offset = known if way == "on" else self.random.randint(0, known)
            self.read(offset, self.random.choice((1, 7, 50, 500, 4000)),
                      self.random.choice(("CUSTOMER", "EVENT")) if way == "filtered" else None)

    def read(self, offset, size, entity=None):
        """False when it was not answered."""
        path = f"/updates?offset={offset}&size={size}" + (f"&entity={entity}" if entity else "")
        outcome, answer, status = self.api.request("GET", path)
        if outcome == REFUSED:
            self.refusals[f"updates {status}"] += 1
        if outcome != OK:
            return False
        told = [(u["entity"]["type"], u["operation"], u["entity"]["data"]["id"]) for u in answer["updates"]]
        if entity:
            self.reading.take_filtered(offset, told, answer["nextOffset"], entity)
        else:
            self.reading.take(offset, told, answer["nextOffset"])
        return True

    def read_to_the_end(self):
        before = -1
        while before < len(self.reading.entries):
            before = len(self.reading.entries)
            if not self.read(before, 4000):
                raise SystemExit("faults: the update stream cannot be read when everything is quiet")


class BulkClient(Actor):
    """Sends files of new customers, and of events for them and for external ids that nobody has; one after the other."""

    def __init__(self, env, seed, stop):
        super().__init__("bulk", env, seed, stop)
        self.files = []

    def act(self):
        while not self.stop_event.is_set():
            self.send(BulkFile.customers(f"b{len(self.files)}", BULK_ROWS))
            self.send(BulkFile.events(f"b{len(self.files)}", self.files[-1], BULK_ROWS))

    def form(self, file):
        fields = {"operation": "INSERT", "entity": file.entity} | ({"eventType": "genericActiveEvent"} if file.entity == "EVENT" else {})
        parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        return ("".join(parts) + head + file.text() + "\r\n--B--\r\n").encode()

    def send(self, file):
        self.files.append(file)
        path, body = f"/nodes/{self.env['CONTACTHUB_NODE']}/bulk-jobs", self.form(file)
        while not self.stop_event.is_set():
            file.outcome, job, status = self.api.request("POST", path, body, f"key-{file.name}", "multipart/form-data; boundary=B")
            if file.outcome != UNKNOWN and status != 408:  # a frozen gateway may take its own silence for the client's
                break
        if file.outcome == REFUSED:
            self.refusals[f"bulk job {status}"] += 1
        while file.outcome == OK and not self.stop_event.wait(0.2):
            outcome, job_now, _ = self.api.request("GET", f"{path}/{job['id']}")
            if outcome == OK and job_now["status"] in ("PROCESSED", "FAILED", "STOPPED"):
                break


def make_aggregate(env):
    """An aggregate node over the node of all customers: one profile for those with one address."""
    body = {"name": "Households", "entryNodes": [env["CONTACTHUB_NODE"]], "state": "ACTIVE",
            "matchingProperties": {"properties": ["base.contacts.email"], "caseSensitive": True}}
    outcome, answer, status = Api(env, [], "CONTACTHUB_ADMIN_TOKEN").request("POST", "/configuration/nodes/aggregates", body)
    if outcome != OK:
        raise SystemExit(f"faults: the aggregate node was not made: {status} {answer}")


class Chaos(threading.Thread):
    """Kills (most often) or freezes a random process. One at a time is frozen, mostly for a few seconds; kills go on meanwhile."""

    def __init__(self, seed, stop):
        super().__init__(name="chaos", daemon=True)
        self.random, self.stop_event = random.Random(f"{seed}-chaos"), stop
        self.kills, self.freezes = Counter(), Counter()
        self.began, self.stores_hit = time.monotonic(), 0
        self.frozen, self.longest = None, 0
        self.failure = None

    def running(self):
        lines = subprocess.run(
            [ROOT / "deploy/local/status"], env=os.environ | {"CONTACTHUB_STACK": str(STACK)}, text=True, stdout=subprocess.PIPE
        ).stdout.splitlines()
        return [(parts[0], int(parts[1])) for parts in map(str.split, lines) if len(parts) >= 3 and parts[1].isdigit()]

    def run(self):
        try:
            self.act()
        except Exception as fault:  # reported by the main thread
            self.failure = fault

    def act(self):
        while not self.stop_event.wait(self.random.uniform(0.05, 0.6)):
            processes = self.running()
            others = [process for process in processes if process[0] not in STORES]
            if not self.hit_store(dict(processes)) and others:
                self.hit(*self.random.choice(others))
        if self.frozen:
            self.frozen.join()

    def hit_store(self, processes):
        """The two stores need seconds to come back: they take turns, or nothing else would ever be tested. Killed first, then frozen."""
        turn, store = divmod(self.stores_hit, len(STORES))
        store = STORES[store]
        if time.monotonic() < self.began + (self.stores_hit + 1) * STORE_SECONDS or store not in processes:
            return False
        if turn % 2 and not self.freeze(store, processes[store]):
            return False
        if turn % 2 == 0 and self.send(processes[store], signal.SIGKILL):
            self.kills.update([store])
        self.stores_hit += 1
        return True

    def hit(self, name, pid):
        if self.random.random() < 0.12:
            self.freeze(name, pid)
        elif self.send(pid, signal.SIGKILL):
            self.kills.update([name])

    def send(self, pid, what):
        """False when the process is gone already: crash points kill, too."""
        try:
            os.kill(pid, what)
            return True
        except ProcessLookupError:
            return False

    def freeze(self, name, pid):
        """The process and its children, as PostgreSQL has them."""
        if self.frozen and self.frozen.is_alive():
            return False
        children = subprocess.run(["pgrep", "-P", str(pid)], text=True, stdout=subprocess.PIPE).stdout.split()
        pids = [other for other in (pid, *map(int, children)) if self.send(other, signal.SIGSTOP)]
        least, most = FREEZE_SECONDS
        seconds = least + (most - least) * self.random.random() ** 3
        self.frozen = threading.Thread(target=self.thaw, args=(pids, seconds))
        self.frozen.start()
        self.freezes.update([name])
        self.longest = max(self.longest, seconds)
        return True

    def thaw(self, pids, seconds):
        self.stop_event.wait(seconds)
        for pid in pids:
            self.send(pid, signal.SIGCONT)


class Tables:
    """Reads the database through psql, as tab-separated lines."""

    def __init__(self, env):
        self.env = env

    def rows(self, sql):
        out = subprocess.run(
            ["psql", "-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.env["CONTACTHUB_PG"], "-c",
             "SET search_path = contacthub", "-c", sql],
            check=True, text=True, stdout=subprocess.PIPE,
        ).stdout
        return [line.split("\t") for line in out.splitlines()[1:]]

    def snapshot(self, seconds=0):
        """seconds: how long the run took."""
        w = f"workspace_id = '{self.env['CONTACTHUB_WORKSPACE']}'"
        node = f"node_id = '{self.env['CONTACTHUB_NODE']}'"
        aggregate = "node_id IN (SELECT node_id FROM aggregate_nodes)"
        value = lambda text: text or None
        return Snapshot(
            customers={
                id_: (value(ext), int(version), value(extra))
                for id_, ext, version, extra in self.rows(f"SELECT id, external_id, version, doc->>'extra' FROM customers WHERE {w} AND {node}")
            },
            profiles={
                id_: int(version) for id_, version in self.rows(f"SELECT id, version FROM customers WHERE {w} AND {aggregate}")
            },
            others=[
                (node_id, external_id, id_)
                for node_id, external_id, id_ in self.rows(f"SELECT node_id, external_id, id FROM customers WHERE {w} AND NOT ({node} OR {aggregate})")
            ],
            nodes=[
                (id_, name)
                for id_, name in self.rows(f"SELECT id, doc->>'name' FROM configuration WHERE {w} AND kind = 'node' AND doc->>'nodeType' = 'ENTRY'")
            ],
            event_states={
                id_: (int(version), value(text))
                for id_, version, text in self.rows(
                    f"SELECT id, version, body #>> '{{properties,extraProperties,v}}' FROM events WHERE {w}"
                )
            },
            addresses={
                id_: value(email)
                for id_, email in self.rows(f"SELECT id, doc #>> '{{base,contacts,email}}' FROM customers WHERE {w} AND {node}")
            },
            members=dict(self.rows(f"SELECT customer_id, profile_id FROM aggregate_members WHERE {w}")),
            tombstones={id_ for (id_,) in self.rows(f"SELECT id FROM customer_tombstones WHERE {w}")},
            events=[
                (id_, marker, value(customer))
                for id_, marker, customer in self.rows(f"SELECT id, body->'properties'->>'name', customer_id FROM events WHERE {w}")
            ],
            event_tombstones=[id_ for (id_,) in self.rows(f"SELECT id FROM event_tombstones WHERE {w}")],
            stream=[
                (int(offset), ENTITIES[int(entity)] if own == "own" else own, OPERATIONS[int(operation)], id_, int(version))
                for offset, entity, own, operation, id_, version in self.rows(
                    f"SELECT stream_offset, entity, CASE WHEN entity <> 1 OR {node} THEN 'own' WHEN {aggregate} THEN '{PROFILE}' "
                    f"ELSE '{OTHER}' END, operation, entity_id, version FROM update_stream WHERE {w} ORDER BY stream_offset"
                )
            ],
            dead_letters=int(self.rows("SELECT count(*) FROM dead_letters")[0][0]),
            subscriptions=self.subscriptions(f"{w} AND {node}"),
            sources=[(name, value(description)) for name, description in self.rows(
                f"SELECT doc->>'name', doc->>'description' FROM configuration WHERE {w} AND kind = 'source' AND doc->>'name' LIKE 'source %'")],
            results={id_: int(status) for id_, status in self.rows(f"SELECT command_id, status FROM command_results WHERE {w}")}
            if seconds <= RESULTS_SECONDS else None,
        )

    def subscriptions(self, where):
        found = {}
        for id_, key, name in self.rows(f"SELECT id, s->>'id', s->>'name' FROM customers, jsonb_array_elements(doc #> '{{base,subscriptions}}') s "
                                        f"WHERE {where} AND jsonb_typeof(doc #> '{{base,subscriptions}}') = 'array'"):
            found.setdefault(id_, []).append((key, name))
        return found

    def bulk_jobs(self):
        jobs = {}
        for id_, name, status, line, row_status, entity in self.rows(
            "SELECT j.id, j.filename, j.status, r.line, r.status, r.entity_id FROM bulk_jobs j LEFT JOIN bulk_rows r "
            "ON r.workspace_id = j.workspace_id AND r.job_id = j.id ORDER BY j.id, r.line"
        ):
            job = jobs.setdefault(id_, BulkJob(name, status))
            if line:
                job.rows.append((int(line), row_status, entity or None))
        return list(jobs.values())

    def at_work(self):
        """Bulk jobs, and nodes that are being emptied."""
        return int(self.rows("SELECT (SELECT count(*) FROM bulk_jobs WHERE status IN ('LOADED', 'SCHEDULED', 'PROCESSING')) + "
                             "(SELECT count(*) FROM node_emptyings)")[0][0])

    def have(self, events):
        names = ", ".join(f"'{event.marker}'" for event in events)
        return int(self.rows(f"SELECT count(*) FROM events WHERE body->'properties'->>'name' IN ({names})")[0][0]) == len(events)

    def followers_are_even(self):
        """They read the same records."""
        return len({end for (end,) in self.rows("SELECT sum(next_offset) FROM consumer_offsets WHERE worker IN ('stats-rollup', 'aggregate-sync') "
                                                "GROUP BY worker")}) == 1

    def positions(self):
        return sorted(self.rows("SELECT worker, topic, partition, next_offset FROM consumer_offsets"))


def wipe():
    """The stack, and what the crash points have noted: an earlier run's would count for this one."""
    local("wipe")
    (STACK / "crashes").unlink(missing_ok=True)
    if STACK.is_dir() and not any(STACK.iterdir()):
        STACK.rmdir()


def read_env():
    lines = (STACK / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def send_markers(env):
    """Events that come behind all others, of so many sessions that every partition has some."""
    api, sent = Api(env, []), []
    for number in range(MARKERS):
        event = EventHistory(f"marker-{number}", UNKNOWN, None, None, f"marker-{number}")
        body = {"type": "genericActiveEvent", "context": "OTHER", "properties": {"name": event.marker},
                "bringBackProperties": {"type": "SESSION_ID", "value": event.session, "nodeId": env["CONTACTHUB_NODE"]}}
        event.outcome, answer, status = api.request("POST", "/events", body, f"key-{event.marker}")
        if event.outcome != OK:
            raise SystemExit(f"faults: an event was answered with {status} when everything is quiet")
        event.id = answer["id"]
        sent.append(event)
    return sent


def wait_for_quiet(env, seconds=120):
    """Until a marker event of every partition has arrived, those who follow the facts are equally far, and no offset moves any
    more; answers the marker events."""
    tables, deadline, markers = Tables(env), time.monotonic() + seconds, send_markers(env)
    before, still = None, 0
    while still < 6:
        if time.monotonic() > deadline:
            raise SystemExit("faults: the stack did not come to rest")
        time.sleep(0.5)
        try:
            now = tables.positions() if tables.at_work() == 0 and tables.have(markers) and tables.followers_are_even() else None
        except subprocess.CalledProcessError:
            now = None
        still = still + 1 if now is not None and now == before else 0
        before = now
    return markers


def probe(env, seconds=60):
    """The stack recovers without hands: a write must succeed again. Answers the seconds that took."""
    api, began, key = Api(env, []), time.monotonic(), f"probe-{time.time_ns()}"
    while time.monotonic() - began < seconds:
        body = {"nodeId": env["CONTACTHUB_NODE"], "externalId": "probe"}
        if api.request("POST", "/customers", body, key)[0] == OK:
            return time.monotonic() - began
        time.sleep(0.2)
    raise SystemExit(f"faults: no write succeeded within {seconds} s after the last fault")


def recount_faults():
    """The counters are what a recount from the entities gives."""
    try:
        local("ctl", "recount")
        return []
    except subprocess.CalledProcessError as fault:
        return [f"counters  {line}" for line in fault.stdout.splitlines()[:10]] or ["counters  the recount failed"]


def report(clients, others, chaos, snapshot, faults, hits, recovered, seconds, need_windows):
    sources, nodes, bulk, subscriber = others
    writes = [w for c in clients for h in c.customers for w in (*h.changes, *(w for item in h.subscriptions for w in item.writes()))]
    writes += [w for c in clients for e in c.events for w in e.changes]
    writes += [w for source in sources.sources for w in source.writes()] + [w for node in nodes.nodes for w in node.names]
    outcomes = Counter(w.outcome for w in writes) + Counter(h.created for c in clients for h in c.customers)
    outcomes += Counter(e.outcome for c in clients for e in c.events)
    outcomes += Counter(o for node in nodes.nodes for o in [node.created, *(c.outcome for c in node.customers), *(e.outcome for e in node.events), *node.emptyings])
    named = Counter(w.settled(snapshot.results) for w in writes if w.outcome == UNKNOWN and w.command)
    refusals = sum((c.refusals for c in (*clients, *others)), Counter())
    slowest = max((s for c in (*clients, *others) for s in c.slowest), default=0)
    missed = [w for w in WINDOWS if not hits[w]]
    if slowest > HANG_SECONDS:
        faults.append(f"a request hung for {slowest:.0f} s")
    missed_stores = [store for store in STORES if not chaos.kills[store]]
    if seconds > len(STORES) * STORE_SECONDS + 5 and missed_stores:
        faults.append("stores that were not killed: " + ", ".join(missed_stores))
    if need_windows and missed:
        faults.append("windows that no crash hit: " + ", ".join(missed))
    if refusals:
        faults.append(f"requests that should succeed were refused: {dict(refusals)}")
    print(f"load      {seconds} s, {sum(outcomes.values())} writes: {dict(outcomes)}, slowest {slowest:.1f} s")
    print(f"504       {sum(named.values())} changes named their command: {named[OK]} had been done, {named[REFUSED]} not")
    print(f"config    {len(sources.sources)} sources and {len(nodes.nodes)} nodes with "
          f"{sum(len(source.changes) for source in sources.sources) + sum(len(node.names) for node in nodes.nodes)} changes, "
          f"{sum(len(node.emptyings) for node in nodes.nodes)} times emptied")
    print(f"bulk      {len(bulk.files)} files of {BULK_ROWS} rows")
    print(f"kills     {sum(chaos.kills.values())} by signal {dict(chaos.kills)}, {sum(hits.values())} at crash points {dict(hits)}")
    print(f"freezes   {sum(chaos.freezes.values())} {dict(chaos.freezes)}, the longest {chaos.longest:.0f} s")
    print(f"recovery  a write succeeded {recovered:.1f} s after the last fault")
    print(f"tables    {len(snapshot.customers)} customers, {len(snapshot.profiles)} profiles, {len(snapshot.events)} events, {len(snapshot.stream)} stream entries")
    print(f"stream    {len(subscriber.reading.entries)} entries read in {subscriber.reading.pages} pages, {subscriber.reading.again} read again")
    for fault in faults[:40]:
        print(f"FAULT     {fault}")
    print(f"{0 if faults else 1} passed, {len(faults)} failed")
    return 1 if faults else 0


def replay_faults():
    """The log alone must give the tables that are there, and the replay must leave the stack with them."""
    try:
        lines = local("replay").stdout.splitlines()
        print(lines[-1])
        return [f"replay    {line}" for line in lines if line.endswith(("DIFFERS", "in motion"))]
    except subprocess.CalledProcessError as fault:
        return [f"replay    {line}" for line in fault.stdout.splitlines() if not line.endswith("equal")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="length of the load")
    parser.add_argument("--seed", default="1", help="of the random choices")
    parser.add_argument("--keep", action="store_true", help="leave the stack up afterwards")
    parser.add_argument("--odds", type=int, default=400, help="a crash point kills one in so many visits; 0 = never")
    arguments = parser.parse_args()
    stop, quiet = threading.Event(), threading.Event()
    wipe()
    try:
        local("up", CONTACTHUB_PORT_BASE=free_port_base(), CONTACTHUB_CRASH_ODDS=0)
        # only now may crash points fire: provisioning is not part of the run
        (STACK / "environment/CONTACTHUB_CRASH_ODDS").write_text(str(arguments.odds))
        env = read_env()
        make_aggregate(env)
        clients = [Client(n, env, arguments.seed, stop) for n in range(CLIENTS)]
        bulk = BulkClient(env, arguments.seed, stop)
        chaos = Chaos(arguments.seed, quiet)
        for name in ("gateway", "customer-merge", "event-ingest", "configuration", "bulk-processor"):
            for pid in [pid for other, pid in chaos.running() if other.split(".")[0] == name]:
                chaos.send(pid, signal.SIGTERM)
        others = [SourceClient(env, arguments.seed, stop), NodeClient(env, arguments.seed, stop), bulk, Subscriber(env, arguments.seed, stop)]
        sources, nodes, _, subscriber = others
        began = time.monotonic()
        for thread in (*clients, *others, chaos):
            thread.start()
        time.sleep(arguments.seconds)
        quiet.set()
        chaos.join()
        if chaos.failure:
            raise chaos.failure
        (STACK / "environment/CONTACTHUB_CRASH_ODDS").write_text("0")
        for name, pid in chaos.running():
            if name not in STORES:
                chaos.send(pid, signal.SIGKILL)
        recovered = probe(env)
        stop.set()
        for client in (*clients, *others):
            client.join()
            if client.failure:
                raise client.failure
        markers = wait_for_quiet(env)
        subscriber.read_to_the_end()
        snapshot, jobs = Tables(env).snapshot(time.monotonic() - began), Tables(env).bulk_jobs()
        of_rows, events_of_rows = bulk_histories(bulk.files, jobs)
        customers = [h for c in clients for h in c.customers] + [CustomerHistory("probe", created=OK)] + of_rows
        events = [e for c in clients for e in c.events] + events_of_rows + [e for n in nodes.nodes for e in n.events] + markers
        faults = check(customers, events, snapshot, sources.sources)
        faults += check_reading(subscriber.reading, snapshot) + check_bulk(bulk.files, jobs) + check_nodes(nodes.nodes, snapshot)
        faults += recount_faults() + replay_faults()
        crashes = STACK / "crashes"
        hits = Counter(crashes.read_text().split()) if crashes.exists() else Counter()
        status = report(clients, others, chaos, snapshot, faults, hits, recovered, arguments.seconds, arguments.seconds >= 240)
    finally:
        quiet.set()
        stop.set()
        if not arguments.keep:
            wipe()
    sys.exit(status)


if __name__ == "__main__":
    main()
