"""Load that has something of everything, at a constant rate: wrk for what there is much of, a thread for all the rest, wrong requests and
broken connections among them."""

import http.client
import itertools
import json
import socket
import threading
import time
import urllib.parse
from collections import Counter

import jobs
import load

KNOWN = 2000
# row of load.lua, connections, requests per second, read by people
STREAMS = (
    ("event", 16, 900, False),
    ("session_event", 4, 100, False),
    ("customer_post", 8, 250, False),
    ("customer_get", 4, 200, False),
    ("customer_by_key", 4, 50, False),
    ("customer_by_query", 2, 5, False),
    ("customer_events", 2, 50, False),
    ("stats_snapshot", 1, 2, True),
    ("stats_purchases", 1, 2, True),
    ("updates", 1, 1, True),
)
REST_PER_S = 30
BULK_EVERY_S, BULK_ROWS = 20, 400
WAIT_S = 30
PUT_OFF = (503, 504)


def prepare(stack):
    """Customers, and an aggregate node over them and over a second node."""
    stack.empty_node, stack.second_node = stack.make_node("empty"), stack.make_node("second")
    jobs.bulk_customers(stack, stack.node, 1, KNOWN)
    stack.keys = KNOWN
    ids = stack.sql(f"SELECT id FROM customers WHERE node_id = '{stack.node}' AND external_id LIKE 'bench-%'")
    stack.ids.write_text(ids + "\n")
    jobs.aggregate_build(stack, stack.node, stack.second_node)


class Rest(threading.Thread):
    """What wrk does not do, one request after the other. A step answers or it is noted: 0 is a broken connection."""

    def __init__(self, stack, per_second, may_break):
        super().__init__(name="rest", daemon=True)
        self.stack, self.per_second, self.may_break = stack, per_second, may_break
        self.stopped = threading.Event()
        self.statuses, self.wrong, self.failure = Counter(), Counter(), None
        self.serial, self.connection = itertools.count(1), None
        self.run_name = format(time.time_ns() // 1000, "x")
        self.bulk_due = 0
        second = stack.second_node
        self.node = self.ok(self.ask("GET", f"/configuration/nodes/entries/{second}", admin=True), {})

    # --- requests ---

    def ask(self, method, path, body=None, admin=False, token=None, whole=False, raw=None, kind="application/json"):
        """(status, body)"""
        token = token or self.stack.env["CONTACTHUB_ADMIN_TOKEN" if admin else "CONTACTHUB_TOKEN"]
        raw = raw if raw is not None else json.dumps(body) if body is not None else None
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.stack.host, timeout=WAIT_S)
            self.connection.request(method, path if whole else self.stack.base + path, raw,
                                    {"Authorization": f"Bearer {token}", "Content-Type": kind})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return 0, b""
        if answer.will_close:
            self.connection = None
        return answer.status, text

    def expect(self, what, answer, *statuses):
        """The JSON of an expected answer that has one."""
        status, text = answer
        self.statuses[status] += 1
        if status not in statuses and not (self.may_break and status in (0, *PUT_OFF)):
            self.wrong[f"{what}: {status} {text[:120]!r}"] += 1
        return json.loads(text) if text and status in statuses and 200 <= status < 300 else {}

    @staticmethod
    def ok(answer, otherwise):
        return json.loads(answer[1]) if answer[0] == 200 else otherwise

    def customer(self):
        number = next(self.serial)
        body = {"nodeId": self.stack.node, "externalId": f"{self.run_name}-{number}", "base": {"contacts": {
            "email": f"bench-{number % KNOWN}@example.com"}}}
        return self.expect("POST customer", self.ask("POST", "/customers", body), 201).get("id")

    # --- steps ---

    def life_of_a_customer(self):
        made = self.customer()
        if not made:
            return
        path, number = f"/customers/{made}", next(self.serial)
        event = {"type": "viewedPage", "context": "WEB", "properties": {"url": "https://example.com"}, "customerId": made}
        steps = (
            ("PATCH", path, {"base": {"lastName": f"L{number}"}, "extra": "x"}, 200),
            ("POST", path + "/sessions", {"value": f"s{number}"}, 201),
            ("POST", path + "/subscriptions", {"id": "s", "name": "n", "type": "t", "kind": "SERVICE", "subscribed": True}, 201),
            ("POST", path + "/likes", {"id": "l", "category": "c", "name": "n"}, 200),
            ("PUT", path + "/likes/l", {"category": "c", "name": "m"}, 200),
            ("GET", path, None, 200),
            ("POST", "/events", event, 202),
            ("GET", f"/events?customerId={made}", None, 200),
            ("DELETE", path, None, 200),
            ("GET", path, None, 404),
        )
        for method, where, body, status in steps:
            self.expect(f"{method} {where.partition(made)[2]}", self.ask(method, where, body), status)

    def configuration(self):
        number = next(self.serial)
        admin = self.stack.base + "/configuration"
        extended = {name: {"type": "string", "contactlabProperties": {"label": name, "enabled": number % 2 == 0}} for name in ("first", "second")}
        steps = (
            (f"/nodes/entries/{self.stack.second_node}", self.node | {"description": f"{number}"}),
            ("/properties/extended", extended),
            ("/events/viewedProduct/enabled", {"value": number % 2 == 0}),
            ("/events-payload-size", {"viewedProduct": {"maxBytes": 1000 + number % 100}}),
        )
        for path, body in steps:
            self.expect(f"PUT {path}", self.ask("PUT", admin + path, body, admin=True, whole=True), 200)

    def reads(self):
        query = urllib.parse.quote(json.dumps({"name": "q", "query": {"type": "simple", "are": {"condition": {
            "type": "atomic", "attribute": "base.lastName", "operator": "IN", "value": ["L1", "L2"]}}}}))
        for path in (f"/customers?nodeId={self.stack.node}&size=50&sort=base.lastName,asc&query={query}", f"/stats/added-customers?nodeId={self.stack.node}"
                     "&start=2026-01-01T00:00:00Z&end=2026-12-31T00:00:00Z", "/configuration/sources", "/configuration/events",
                     "/updates/last-offset", f"/nodes/{self.stack.node}/bulk-jobs"):
            self.expect(f"GET {path[:24]}", self.ask("GET", path, admin=True), 200)
        for path in ("/me", "/health", "/openapi.json"):
            self.expect(f"GET {path}", self.ask("GET", "/hub/v1" + path, admin=True, whole=True), 200)

    def refusals(self):
        post = "/customers"
        for answer, status in (
            (self.ask("POST", post, raw=b'{"nodeId": '), 400),
            (self.ask("POST", post, {"nodeId": self.stack.node, "externalId": 5, "base": {"dob": "x"}}), 400),
            (self.ask("POST", post, {"nodeId": self.stack.second_node, "externalId": "x"}), 403),
            (self.ask("POST", post, raw=b"a,b", kind="text/csv"), 415),
            (self.ask("POST", "/events", raw=b"[" * 60000), 400),
            (self.ask("GET", "/customers?nodeId=x"), 404),
            (self.ask("GET", "/customers?size=x"), 400),
            (self.ask("GET", "/customers?nodeId=" + self.stack.node, token="0" * 64), 401),
            (self.ask("GET", "/nothing"), 404),
            (self.ask("GET", "/customers/" + self.stack.workspace), 404),
            (self.ask("POST", f"/nodes/{self.stack.node}/bulk-jobs", raw=b"--B\r\nno form", admin=True, kind="multipart/form-data; boundary=B"), 400),
        ):
            self.expect(f"wrong request {status}", answer, status)

    def broken(self):
        """Clients that go away: before the body is there, in the middle of a file, and when they are told that it is too large."""
        host, _, port = self.stack.host.partition(":")
        boundary = "multipart/form-data; boundary=B"
        file = b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nexternalId\r\n' + b"abc\r\n" * 20000
        for path, kind, length, body in (
            ("/customers", "application/json", 100, b'{"nodeId":'),
            ("/events", "application/json", 100, b""),
            ("/events", "application/json", 1 << 30, b""),
            (f"/nodes/{self.stack.node}/bulk-jobs", boundary, len(file) + 100, file),
        ):
            head = (f"POST {self.stack.base}{path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.stack.env['CONTACTHUB_ADMIN_TOKEN']}\r\n"
                    f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n").encode()
            try:
                with socket.create_connection((host, int(port)), timeout=WAIT_S) as line:
                    line.sendall(head + body)
            except OSError:
                pass

    def bulk(self):
        if time.monotonic() < self.bulk_due:
            return
        self.bulk_due = time.monotonic() + BULK_EVERY_S
        first = next(self.serial) % KNOWN
        customers = [[f"bench-{(first + i) % KNOWN}", f"L{i}"] for i in range(BULK_ROWS)]
        events = [[i, "WEB", "https://example.com"] for i in self.stack.ids.read_text().split()[first:first + BULK_ROWS]]
        for fields, head, rows in (
            ({"operation": "UPSERT"}, ["externalId", "base.lastName"], customers),
            ({"operation": "INSERT", "entity": "EVENT", "eventType": "viewedPage"}, ["customerId", "context", "properties.url"], events),
        ):
            answer = self.ask("POST", f"/nodes/{self.stack.node}/bulk-jobs", raw=jobs.form(fields, jobs.csv_text(head, rows)), admin=True,
                              kind=f"multipart/form-data; boundary={jobs.BOUNDARY}")
            self.expect("POST bulk job", answer, 202, 200, 201)

    # --- the loop ---

    def run(self):
        try:
            for step in itertools.cycle((self.life_of_a_customer, self.reads, self.configuration, self.refusals, self.broken, self.bulk)):
                before, began = sum(self.statuses.values()), time.monotonic()
                step()
                done = sum(self.statuses.values()) - before
                if self.stopped.wait(max(done / self.per_second - (time.monotonic() - began), 0)):
                    return
        except Exception as fault:  # reported by the main thread
            self.failure = fault


class Mix:
    """rate: part of the load above; may_break: processes are restarted meanwhile."""

    def __init__(self, stack, seconds, rate=1.0, may_break=False):
        self.streams = {lua: load.Background(stack, lua, connections, seconds, max(per_second * rate, 1), admin)
                        for lua, connections, per_second, admin in STREAMS}
        self.rest, self.may_break = Rest(stack, REST_PER_S * rate, may_break), may_break
        self.rest.start()

    def end(self):
        """(requests by stream, what should not have been)"""
        done, wrong = {}, []
        for lua, stream in self.streams.items():
            good, bad, *_ = stream.end()
            done[lua] = int(good)
            if bad and not self.may_break:
                wrong.append(f"{lua}: {bad:.0f} requests failed")
        self.rest.stopped.set()
        self.rest.join()
        if self.rest.failure:
            raise self.rest.failure
        done["rest"] = sum(self.rest.statuses.values())
        return done, wrong + [f"{what} ({n} times)" for what, n in self.rest.wrong.most_common(10)]
