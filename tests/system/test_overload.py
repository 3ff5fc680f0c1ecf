"""More requests at once than the gateway takes into work: the excess is put off with 503 and Retry-After on a line that stays usable,
what is answered well is there, what is put off is not, memory is bounded, another workspace gets through. How fast all of it is, is
measured by tests/faults/overload."""

import json
import re
import socket
import threading
import time

import pytest

from client import eventually, unique
from contract import check_error, check_page
from test_bad_input import head
from test_hostile_http import MIB, bounded, process, resident  # noqa: F401 (a fixture)

LINES, WHOLE = 1500, 500
# Together they ask for more than the half gigabyte that answers may take, which are 8 MB and as much again to make.
SLOW_READERS, SLOW_ANSWERS = 40, 768 * MIB
# Together they hold more than half of the quarter gigabyte that bodies may take.
SLOW_SENDERS, SLOW_BODY = 300, 600_000
EVENTS = 140
# Bursts until some of the requests are put off; a machine that is fast enough for the first ones meets them with more lines at once.
BURSTS = 5


def post(client, body):
    text = json.dumps(body).encode()
    return head(client, "POST", "customers", f"Content-Length: {len(text)}") + text


def get(client, node, external_id):
    return head(client, "GET", f"customers?nodeId={node}&externalId={external_id}")


def answer_of(line):
    """(status, headers, body) of the next answer."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = line.recv(65536)
        assert piece, "the line stays open"
        came += piece
    lines, _, body = came.partition(b"\r\n\r\n")
    headers = dict(re.findall(rb"\r\n([^:\r]+): ([^\r]*)", lines))
    while len(body) < int(headers[b"Content-Length"]):
        body += line.recv(65536)
    return int(lines.split()[1]), {name.decode().lower(): value.decode() for name, value in headers.items()}, body


def burst(lines, requests):
    """All requests are sent before the first answer is read."""
    for line, data in zip(lines, requests):
        line.sendall(data)
    return [answer_of(line) for line in lines]


def check_put_off(answer):
    status, headers, body = answer
    assert status == 503, f"a request at the wrong moment is put off, not refused: {status} {body[:200]!r}"
    assert headers.get("retry-after", "").isdigit() and int(headers["retry-after"]) >= 1, f"503 says when to come back: {headers}"
    assert headers.get("connection", "").lower() != "close", "the line stays usable"
    check_error(Answered(status, headers, body), 503)


class Answered:
    """What check_error looks at."""

    def __init__(self, status, headers, raw):
        self.status, self.headers, self.raw, self.text = status, headers, raw, raw.decode()

    @property
    def json(self):
        return json.loads(self.text)


@pytest.fixture(scope="module")
def lines(source):
    made = []
    for _ in range(LINES):
        made.append(socket.create_connection(source.address, timeout=60))
        made[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield made
    for line in made:
        line.close()


@pytest.fixture(scope="module")
def own_node(space):
    return space.node(("externalId",))


@pytest.fixture(scope="module")
def own_source(space, own_node):
    return space.trusted(own_node)


class Quiet(threading.Thread):
    """Another workspace, one request at a time; it does as it is told when it is put off."""

    def __init__(self, space):
        super().__init__()
        self.node = space.node()
        self.client = space.trusted(self.node)
        self.over, self.good, self.other, self.fault = threading.Event(), 0, [], None

    def run(self):
        try:
            while not self.over.wait(0.02):
                answer = self.client.post("customers", {"nodeId": self.node, "base": {"contacts": {"email": f"{unique()}@example.com"}}})
                if answer.status == 201:
                    self.good += 1
                else:
                    self.other.append(answer)
        except Exception as fault:  # told by the test's thread
            self.fault = fault


def bursts(lines, client, node):
    """(external ids answered well, external ids put off)"""
    good, off = [], []
    for _ in range(BURSTS):
        ids = [unique("burst") for _ in lines]
        answers = burst(lines, [post(client, {"nodeId": node, "externalId": external}) for external in ids])
        for external, answer in zip(ids, answers):
            if answer[0] == 201:
                good.append(external)
            else:
                check_put_off(answer)
                off.append(external)
    return good, off


def test_the_excess_is_put_off_and_the_rest_is_done(lines, process, own_source, own_node, make_space):  # noqa: F811
    quiet = Quiet(make_space("quiet"))
    quiet.start()
    try:
        with bounded(process, 64 * MIB + LINES * 80 * 1024):
            good, off = bursts(lines, own_source, own_node)
    finally:
        quiet.over.set()
        quiet.join()
    assert good and off, f"{LINES} at once are too many, and some of them are taken: {len(good)} done, {len(off)} put off"
    assert not quiet.fault, f"another workspace was harmed: {quiet.fault!r}"
    assert quiet.good > len(quiet.other), f"another workspace gets through: {quiet.good} done, {len(quiet.other)} not"
    for answer in quiet.other:
        check_put_off((answer.status, answer.headers, answer.raw))
    for external, wanted in [(external, 1) for external in good[::20]] + [(external, 0) for external in off[::20]]:
        found = own_source.get("customers", {"nodeId": own_node, "externalId": external})
        assert len(check_page(found)) == wanted, f"{external}: done or put off, never both: {found!r}"


def test_after_a_burst_everything_is_taken(own_source, own_node):
    for _ in range(20):
        answer = own_source.post("customers", {"nodeId": own_node, "externalId": unique()})
        assert answer.status == 201, f"nothing is left of the burst: {answer!r}"


def test_a_burst_of_what_a_workspace_may_have_is_taken_whole(lines, own_source, own_node):
    """No more than CONTACTHUB_CALM_IN_FLIGHT, but more than is let into work at once: the others wait for a place."""
    answers = burst(lines[:WHOLE], [post(own_source, {"nodeId": own_node, "externalId": unique()}) for _ in lines[:WHOLE]])
    assert [answer[0] for answer in answers] == [201] * WHOLE


def test_reads_are_taken_or_put_off_likewise(lines, own_source, own_node):
    answers = burst(lines, [get(own_source, own_node, "nobody") for _ in lines])
    for answer in answers:
        if answer[0] != 200:
            check_put_off(answer)
    assert any(answer[0] == 200 for answer in answers), "some are taken"


def ask_without_reading(client, offset):
    line = socket.create_connection(client.address, timeout=60)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.sendall(head(client, "GET", f"updates?size=4000&offset={offset}"))
    return line


def make_events(client, node):
    """8 MB, of one customer; whose."""
    customer = client.post("customers", {"nodeId": node, "externalId": unique()}).json["id"]
    large = {"customerId": customer, "type": "formCompiled", "context": "WEB", "properties": {"extraProperties": {"x": "y" * 60_000}}}
    for _ in range(EVENTS):
        assert client.post("events", large).status == 202
    eventually(lambda: check_page(client.get("events", {"customerId": customer, "size": 1}), total=EVENTS))
    return customer


def test_slow_readers_of_large_answers_have_little_memory(process, space, own_source, own_node, make_space):  # noqa: F811
    """Pages of the update stream, 8 MB each, which nobody reads: those that do not fit are put off, and nothing is kept afterwards."""
    offset = space.admin.get("updates/last-offset").json["lastOffset"]
    customer = make_events(own_source, own_node)
    other = make_space("other")
    others_node = other.node(properties=("externalId",))
    make_events(other.trusted(others_node), others_node)
    before = resident(process)
    with bounded(process, SLOW_ANSWERS):
        waiting = [ask_without_reading(space.admin, offset) for _ in range(SLOW_READERS)]
        came = {line.recv(12) for line in waiting}
        assert came == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert own_source.get(f"customers/{customer}").status == 200, "small answers are sent in any case"
        assert other.admin.get("updates", {"size": 4000}).status == 200, "so are another workspace's large ones"
        for line in waiting:
            line.close()

    with open(f"{process}/maps", encoding="ascii") as maps:
        if "libasan" in maps.read():
            return  # a sanitizer keeps what is freed

    def given_back():
        kept = resident(process) - before
        assert kept < 64 * MIB, f"the gateway keeps {kept // MIB} MiB"
    eventually(given_back, 10)


def test_slow_senders_of_large_bodies_leave_room_for_other_workspaces(own_source, make_space):
    """They have all the memory that one workspace may have for what is on its way."""
    other = make_space("other")
    source = other.trusted(other.node())
    piece = bytes(SLOW_BODY)
    waiting = [socket.create_connection(own_source.address, timeout=60) for _ in range(SLOW_SENDERS)]
    for line in waiting:
        line.sendall(head(own_source, "POST", "events", f"Content-Length: {SLOW_BODY + 1}") + piece)
    time.sleep(1)  # until all of it has been read
    answer = source.post("events", raw=piece)
    for line in waiting:
        line.sendall(b"x")
    came = {line.recv(12) for line in waiting}
    for line in waiting:
        line.close()
    assert answer.status == 400, f"another workspace is listened to: {answer}"
    assert came == {b"HTTP/1.1 400", b"HTTP/1.1 503"}, "those that did not fit are put off"
