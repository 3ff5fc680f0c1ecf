"""A small HTTP client on the standard library, made for tests: it hides no status, and never
shows a token."""

import http.client
import itertools
import json as jsonlib
import re
import socket
import threading
import time
import urllib.parse
import uuid

PREFIX = "/hub/v1"
TIMEOUT_S = 30
JSON = "application/json"

# Every token that a test has met; nothing that is printed may hold one of them.
SECRETS = set()
_SHAPES = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|\b[0-9a-f]{64}\b")


def keep_secret(token):
    if token:
        SECRETS.add(token)
    return token


def masked(text):
    """The text without the tokens that are known and without anything that has the shape of one."""
    for secret in SECRETS:
        text = text.replace(secret, "<token>")
    return _SHAPES.sub("<token>", text)


def holds_secret(text):
    return any(secret in text for secret in SECRETS)


class Answer:
    """Status, headers (lower-case names) and body of an answer."""

    def __init__(self, status, headers, raw, request):
        self.status = status
        self.headers = headers
        self.raw = raw
        self.request = request

    @property
    def text(self):
        return self.raw.decode("utf-8", "replace")

    @property
    def json(self):
        try:
            return jsonlib.loads(self.raw.decode("utf-8"))
        except ValueError as fault:
            raise AssertionError(f"the body of {self!r} must be UTF-8 JSON: {fault}") from None

    def __repr__(self):
        body = self.text if len(self.raw) <= 600 else self.text[:600] + "..."
        return masked(f"<{self.request} -> {self.status} {body}>")


class Client:
    """One caller. Connections are kept per thread, as client libraries do."""

    def __init__(self, url, token=None, workspace=None):
        self.url = url
        self.token = keep_secret(token)
        self.workspace = workspace
        parts = urllib.parse.urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._kept = threading.local()

    def __repr__(self):
        return f"<Client {self.url} workspace {self.workspace}>"

    def with_token(self, token):
        return Client(self.url, token, self.workspace)

    def in_workspace(self, workspace):
        return Client(self.url, self.token, workspace)

    @property
    def address(self):
        return self._host, self._port

    def path(self, path):
        """'customers' -> below the workspace; '/me' -> below the prefix; '//x' -> '/x' as it is."""
        if path.startswith("//"):
            return path[1:]
        if path.startswith("/"):
            return PREFIX + path
        return f"{PREFIX}/workspaces/{self.workspace}/{path}".rstrip("/")

    def _connect(self):
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(self, method, path, body=None, query=None, headers=None, raw=None, token=...):
        """body: a value that is sent as JSON; raw: bytes that are sent as they are; query: dict, list of pairs, or text."""
        target = self.path(path)
        if query:
            target += "?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
        sent = dict(headers or {})
        token = self.token if token is ... else token
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if raw is None and body is not None:
            raw = jsonlib.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if raw is not None:
            sent.setdefault("Content-Type", JSON)
        return self._exchange(method, target, raw, sent)

    def _exchange(self, method, target, raw, headers):
        # A body in pieces is sent once: its connection is a fresh one.
        pieces = raw is not None and not isinstance(raw, bytes)
        connection = None if pieces else getattr(self._kept, "connection", None)
        fresh = connection is None
        if fresh:
            connection = self._connect()
        self._kept.connection = None
        try:
            connection.request(method, target, raw, headers, encode_chunked=pieces)
            answer = connection.getresponse()
            data = answer.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            connection.close()
            # A kept connection may have been closed by the server meanwhile; on a fresh one it is a fault.
            if fresh:
                raise
            return self._exchange(method, target, raw, headers)
        if answer.will_close:
            connection.close()
        else:
            self._kept.connection = connection
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data,
                      f"{method} {target}")

    def get(self, path, query=None, **more):
        return self.request("GET", path, query=query, **more)

    def post(self, path, body=None, query=None, **more):
        return self.request("POST", path, body, query, **more)

    def put(self, path, body=None, query=None, **more):
        return self.request("PUT", path, body, query, **more)

    def patch(self, path, body=None, query=None, **more):
        return self.request("PATCH", path, body, query, **more)

    def delete(self, path, query=None, **more):
        return self.request("DELETE", path, query=query, **more)

    def options(self, path, **more):
        return self.request("OPTIONS", path, **more)

    def bytes(self, data, wait_s=TIMEOUT_S, close=False):
        """Sends bytes on a connection of their own and returns what comes back until the server closes the connection or is
        silent for wait_s. close: nothing more will come, as the server is told."""
        with socket.create_connection(self.address, timeout=wait_s) as line:
            line.sendall(data)
            if close:
                line.shutdown(socket.SHUT_WR)
            came = b""
            try:
                while piece := line.recv(65536):
                    came += piece
            except (socket.timeout, ConnectionResetError):
                pass
            return came


def new_id():
    return str(uuid.uuid4())


def quoted(segment):
    """A path segment, percent-encoded."""
    return urllib.parse.quote(segment, safe="")


_counter = itertools.count(1)
_run = new_id()[:8]


def unique(prefix="t"):
    """A value that no other test and no other run uses."""
    return f"{prefix}-{_run}-{next(_counter)}"


def eventually(check, timeout=5.0, pause=0.05):
    """Calls check until it neither raises AssertionError nor returns False; the last failure is the test's."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            result = check()
            assert result is not False, f"not so within {timeout} seconds"
            return result
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
