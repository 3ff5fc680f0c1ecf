"""Clients that speak HTTP badly, slowly, or too much: each gets its answer or loses its line, the gateway's memory stays bounded, and
another client is served meanwhile. (test_bad_input.py has broken bodies, lengths and first lines.)"""

import contextlib
import os
import re
import resource
import socket
import threading
import time

import pytest

from client import Client, unique
from conftest import stack_directory
from contract import check_page
from test_bad_input import head, status_of

MIB = 1 << 20
GIB = 1 << 30
NEIGHBOUR_S = 1.0
IDLE_LINES = 10_000
SLOW_LINES = 40
SLOW_S = 4
BYTE_PAUSE_S = 0.1
# Freed memory that an address sanitizer keeps.
QUARANTINE = 256 * MIB


# --- the gateway and its other clients -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process():
    """/proc directory of the gateway."""
    pid = stack_directory() / "service/gateway/supervise/pid"
    if not pid.exists():
        pytest.skip("the gateway is no process of a local stack")
    return f"/proc/{pid.read_text().strip()}"


def resident(process):
    with open(f"{process}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


@contextlib.contextmanager
def bounded(process, growth):
    """The gateway lives on and has grown by at most so many bytes, also in between. A sanitizer's own memory is not counted."""
    with open(f"{process}/maps", encoding="ascii") as maps:
        allowed = growth + (QUARANTINE if "libasan" in maps.read() else 0)
    before = resident(process)
    most = [before]
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            most[0] = max(most[0], resident(process))
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert resident(process) > 0, "the process is the same one"
    assert most[0] - before <= allowed, f"the gateway grew by {(most[0] - before) // MIB} MiB, at most {allowed // MIB} are allowed"


@contextlib.contextmanager
def neighbour(source, node):
    """Another client, who writes and reads all the while and waits less than a second each time."""
    slowest, faults, over = [0.0, 0], [], threading.Event()
    client = Client(source.url, source.token, source.workspace)

    def work():
        try:
            while True:
                started = time.monotonic()
                answer = client.post("customers", {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}})
                assert answer.status == 201, f"a good request is served: {answer!r}"
                check_page(client.get("customers", {"nodeId": node, "size": 1}))
                slowest[:] = [max(slowest[0], (time.monotonic() - started) / 2), slowest[1] + 1]
                if over.wait(0.02):
                    return
        except Exception as fault:  # told by the test's thread
            faults.append(fault)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults, f"another client was harmed: {faults[0]!r}"
    assert slowest[1] > 0 and slowest[0] < NEIGHBOUR_S, f"another client waited {slowest[0]:.2f} s, of {slowest[1]} rounds"


@pytest.fixture(autouse=True)
def unharmed(process, source, node):
    """All tests here: memory is bounded and a good client is served."""
    with bounded(process, 64 * MIB), neighbour(source, node):
        yield


def statuses(came):
    """Of the answers that came. The HTTP library sends the head of an answer of its own making twice and closes: that is one."""
    came = re.sub(rb"^(HTTP/1\.1 400 Bad Request\r\n(?:[^\r]+\r\n)*?Connection: close\r\n(?:[^\r]+\r\n)*\r\n)\1", rb"\1", came)
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", came)]


def customer_text(node, **more):
    fields = "".join(f',"{name}":"{value}"' for name, value in more.items())
    return ('{"nodeId":"%s","base":{"contacts":{"email":"%s@example.com"}}%s}' % (node, unique(), fields)).encode()


def test_a_line_that_ends_with_its_request_is_closed(source):
    """Its client waits for nothing but the answer and the end. Both come with one packet."""
    with socket.create_connection(source.address, timeout=5) as line:
        request = head(source, "OPTIONS", "customers")
        line.sendall(request[:-1])
        line.send(request[-1:], socket.MSG_MORE)
        line.shutdown(socket.SHUT_WR)
        assert status_of(line.recv(65536)) == 204
        assert line.recv(65536) == b"", "the end"


@pytest.mark.parametrize("path", ["nowhere", "customers"])
@pytest.mark.parametrize("one_packet", [True, False])
def test_half_a_request_is_closed_when_its_client_has_ended(source, path, one_packet):
    with socket.create_connection(source.address, timeout=5) as line:
        line.sendall(head(source, "POST", path, "Content-Length: 10") + b"half")
        if one_packet:
            line.send(b"!", socket.MSG_MORE)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(65536) == b""


# --- slow and silent -------------------------------------------------------------------------------------------------------------------


def open_lines(address, count):
    return [socket.create_connection(address, timeout=10) for _ in range(count)]


@pytest.mark.parametrize("where", ["head", "body"])
def test_slow_senders_take_nothing_from_others(source, node, where):
    """A byte each 100 ms; whoever sends to the end is served."""
    body = customer_text(node)
    data = head(source, "POST", "customers", f"Content-Length: {len(body)}", "Connection: close") + body
    slow_bytes = int(SLOW_S / BYTE_PAUSE_S)
    at = 5 if where == "head" else len(data) - slow_bytes - 5
    lines = open_lines(source.address, SLOW_LINES)
    for line in lines:
        line.sendall(data[:at])
    for offset in range(slow_bytes):
        for line in lines:
            line.sendall(data[at + offset:at + offset + 1])
        time.sleep(BYTE_PAUSE_S)
    for line in lines:
        line.sendall(data[at + slow_bytes:])
    answers = [status_of(line.recv(65536)) for line in lines]
    for line in lines:
        line.close()
    assert answers[0] == 201 and set(answers) <= {200, 201}, f"slow, but within the limits: {answers}"


def test_half_open_lines_take_nothing_from_others(source, node):
    """Nothing sent, half a head, half a body, and a client that is gone without a word."""
    body = customer_text(node)
    data = head(source, "POST", "customers", f"Content-Length: {len(body)}") + body
    lines = open_lines(source.address, 200)
    for number, line in enumerate(lines):
        line.sendall(data[:(0, 20, len(data) - 10)[number % 3]])
    for line in lines[::2]:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        line.close()
    for line in lines[1::2]:
        line.shutdown(socket.SHUT_WR)
    time.sleep(1)
    for line in lines[1::2]:
        line.close()


def most_lines(process):
    """How many lines both ends can hold; our own limit is raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open(f"{process}/limits", encoding="ascii") as limits:
        theirs = int(re.search(r"Max open files\s+(\d+)", limits.read())[1])
    return min(IDLE_LINES, min(hard, theirs) - 500)


def test_idle_lines_take_nothing_from_others(source, process):
    count = most_lines(process)
    print(f"{count} idle lines")
    lines = open_lines(source.address, count)
    time.sleep(2)
    request = head(source, "GET", "configuration/nodes/entries")
    for line in lines[::500]:
        line.sendall(request)
        assert status_of(line.recv(65536)) is not None, "an idle line can still be used"
    for line in lines:
        line.close()
    assert count >= 1000, "the limit of open files is too low for a test"


# --- too much --------------------------------------------------------------------------------------------------------------------------


def pour(line, piece, total):
    """Sends until the server cuts the line or all is out; the number of bytes that went."""
    sent = 0
    try:
        while sent < total:
            line.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def rest_of(line):
    came = b""
    try:
        while piece := line.recv(65536):
            came += piece
    except OSError:
        pass
    return came


@pytest.mark.parametrize("path", ["customers", "events"])
def test_a_declared_gib_is_refused_before_it_comes(source, path):
    with socket.create_connection(source.address, timeout=5) as line:
        line.sendall(head(source, "POST", path, f"Content-Length: {GIB}"))
        assert status_of(rest_of(line)) == 413, "the head alone is enough to refuse it, and to close the line"


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_a_gib_is_not_read(source, framing):
    """The answer may be lost when the line is cut while we still send; what must not happen is that all is read."""
    block = b"x" * 65536
    chunk = b"10000\r\n" + block + b"\r\n"
    line_of = f"Content-Length: {GIB}" if framing == "declared" else "Transfer-Encoding: chunked"
    with socket.create_connection(source.address, timeout=10) as line:
        line.sendall(head(source, "POST", "customers", line_of))
        sent = pour(line, block if framing == "declared" else chunk, GIB)
        came = rest_of(line)
    assert sent < 64 * MIB, f"{sent // MIB} MiB of a body that is refused were taken"
    assert status_of(came) in (None, 413), f"{came[:200]!r}"


def test_a_huge_header_is_refused(source):
    for size in (30_000, 60_000, 1_000_000):
        with socket.create_connection(source.address, timeout=5) as line:
            pour(line, head(source, "GET", "configuration/sources", f"X-Long: {'x' * size}"), 1)
            assert status_of(rest_of_one(line)) in (None, 400, 413, 431)


def rest_of_one(line):
    """The next answer's beginning, or nothing when the line is cut."""
    try:
        return line.recv(65536)
    except OSError:
        return b""


# --- framing ---------------------------------------------------------------------------------------------------------------------------


def test_many_pipelined_requests_are_answered_in_order(source, node):
    """Writes wait for the workers, reads of absent things do not: the answers come in the order of the requests all the same."""
    data, expected = b"", []
    for number in range(20):
        body = customer_text(node)
        data += head(source, "POST", "customers", f"Content-Length: {len(body)}") + body
        data += head(source, "GET", f"customers/absent-{number}")
        expected += [201, 404]
    came = source.bytes(data + head(source, "GET", f"customers?nodeId={node}", "Connection: close"), 10)
    assert statuses(came) == expected + [200]
    named = [int(number) for number in re.findall(rb"customer not found absent-(\d+)", came)]
    assert named == list(range(20)), f"each answer belongs to its request: {named}"


@pytest.mark.parametrize("keep", [False, True])
def test_http_1_0_closes_unless_asked_to_keep(source, node, keep):
    last = head(source, "GET", f"customers?nodeId={node}").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    first = last.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n") if keep else last
    came = source.bytes(first + last, 10)
    assert statuses(came) == [200] * (2 if keep else 1)


def test_extensions_and_trailers_of_chunks_are_skipped(source, node):
    body = customer_text(node, extra="chunked")
    half = len(body) // 2
    chunked = b"%x;name=value;flag\r\n%s\r\n%X;q=\"a\"\r\n%s\r\n0;last\r\nX-Trailer: 1\r\nContent-Length: 3\r\n\r\n" % (
        half, body[:half], len(body) - half, body[half:])
    came = source.bytes(head(source, "POST", "customers", "Transfer-Encoding: chunked") + chunked
                        + head(source, "GET", "customers/absent", "Connection: close"), 10)
    assert statuses(came) == [201, 404] and b'"extra":"chunked"' in came, f"{came[:400]!r}"


BAD_CHUNKS = [b"-5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5hello\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n",
              b"fffffffffffffffff\r\nx", b"\r\n5\r\nhello\r\n0\r\n\r\n", b"g\r\n\r\n", b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"]


def cpu_seconds(process):
    with open(f"{process}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("chunk", [b"2;" + b"a" * 60_000, b"0" * 60_000], ids=["extension", "size"])
@pytest.mark.parametrize("token", [True, False], ids=["token", "no token"])
def test_an_endless_head_of_a_chunk_is_cut(source, chunk, token):
    """It does not fit into what a connection has for it."""
    client = source if token else source.with_token("nobody")
    came = client.bytes(head(client, "POST", "customers", "Transfer-Encoding: chunked") + chunk, 5)
    assert status_of(came) == (400 if token else 401)


def test_an_endless_head_of_a_chunk_costs_little(source, process):
    """As long as the client sends nothing more, it may have been slow."""
    with socket.create_connection(source.address, timeout=10) as line:
        line.sendall(head(source, "POST", "customers", "Transfer-Encoding: chunked") + b"2;")
        for _ in range(330):
            line.sendall(b"a" * 100)
            time.sleep(0.001)
        before = cpu_seconds(process)
        time.sleep(2)
        assert cpu_seconds(process) - before < 0.5


@pytest.mark.parametrize("chunks", BAD_CHUNKS, ids=range(len(BAD_CHUNKS)))
def test_bad_chunks_end_the_line(source, chunks):
    """What follows a chunk that cannot be read is never taken for a request."""
    came = source.bytes(head(source, "POST", "customers", "Transfer-Encoding: chunked") + chunks + head(source, "GET", "customers/smuggled"), 3, close=True)
    assert b"smuggled" not in came and len(statuses(came)) <= 1, f"{came[:300]!r}"
    assert not statuses(came) or 400 <= statuses(came)[0] < 500


AMBIGUOUS = [["Content-Length: 4", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 4"],
             ["Content-Length: 4", "Content-Length: 60"], ["Content-Length: 60", "Content-Length: 4"], ["Content-Length: 4, 60"],
             ["Transfer-Encoding: identity", "Content-Length: 4"], ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
             ["Transfer-Encoding : chunked"], ["Content-Length: 5", "Transfer-Encoding : chunked"],
             ["Content-Length: 5", "Transfer-Encoding\t: chunked"], ["Content-Length: 5", "Transfer-Encoding\v: chunked"], ["Transfer-Encoding: xchunked"], ["Content-Length: +4"], ["Content-Length: 0x4"], ["Content-Length: 4 4"]]


@pytest.mark.parametrize("lines", AMBIGUOUS, ids=str)
def test_nothing_is_smuggled_behind_ambiguous_lengths(source, lines):
    """One answer at most, then the line is closed: what one reader takes for a body another could take for a request."""
    came = source.bytes(head(source, "POST", "customers", *lines) + b"0\r\n\r\n" + head(source, "GET", "customers/smuggled"), 3)
    assert b"smuggled" not in came and len(statuses(came)) <= 1, f"{lines}: {came[:300]!r}"
    assert not statuses(came) or 400 <= statuses(came)[0] < 600


def test_a_request_without_host_gets_one_answer(source):
    """The HTTP library's own one had its head twice."""
    came = source.bytes(b"GET /hub/v1/health HTTP/1.1\r\n\r\n", 3)
    assert came.startswith(b"HTTP/1.1 400 ") and came.count(b"HTTP/1.1") == 1 and b'"logref"' in came, came


def test_a_target_with_a_blank_is_refused(source):
    came = source.bytes(b"GET /hub/v1/health live HTTP/1.1\r\nHost: x\r\n\r\n", 3)
    assert came.startswith(b"HTTP/1.1 400 ") and b'"logref"' in came, came


HEADS = {
    "bare LF": (b"GET /hub/v1/health HTTP/1.1\nHost: x\nConnection: close\n\n", (None, 200, 400)),
    "NUL in a value": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", (None, 400, 200)),
    "NUL in a name": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n", (None, 400, 200)),
    # the HTTP library's texts end at a NUL, and the target with them
    "NUL in the target": (b"GET /hub/v1/health\x00x HTTP/1.1\r\nHost: x\r\n\r\n", (None, 200, 400, 404)),
    "space before the colon": (b"GET /hub/v1/health HTTP/1.1\r\nHost : x\r\n\r\n", (None, 400)),
    "space before the colon of another header": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", (400,)),
    "folded": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", (None, 200, 400)),
    "no colon": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", (None, 400)),
    "unknown method": (b"BREW /hub/v1/health HTTP/1.1\r\nHost: x\r\n\r\n", (405, 501)),
    "odd method": (b"G\"T /hub/v1/health HTTP/1.1\r\nHost: x\r\n\r\n", (None, 400, 405, 501)),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404, 405, 501)),
    "TRACE": (b"TRACE /hub/v1/health HTTP/1.1\r\nHost: x\r\n\r\n", (405, 501)),
    "absolute form": (b"GET http://x/hub/v1/health HTTP/1.1\r\nHost: x\r\n\r\n", (200, 400, 404)),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", (200, 204, 400, 404)),
    "no Host": (b"GET /hub/v1/health HTTP/1.1\r\n\r\n", (400,)),
    "other expectation": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", (200, 400, 417)),
    "upgrade": (b"GET /hub/v1/health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n", (200, 400)),
}


@pytest.mark.parametrize("name", HEADS)
def test_odd_heads(source, name):
    data, allowed = HEADS[name]
    if b"close\r\n" not in data:
        data = data.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1)
    came = source.bytes(data, 5)
    assert len(statuses(came)) <= 1 and status_of(came) in allowed, f"{name}: {came[:300]!r}"


def test_a_body_that_is_not_waited_for_gets_no_invitation(source):
    """Expect: 100-continue with a body too large, or without a token: refused instead of invited."""
    for lines, status in (([f"Content-Length: {GIB}"], 413), (["Content-Length: 10", "Authorization: Bearer x"], 401)):
        data = head(source, "POST", "customers", *lines, "Expect: 100-continue")
        if status == 401:
            data = data.replace(f"Authorization: Bearer {source.token}\r\n".encode(), b"")
        assert statuses(source.bytes(data, 5)) == [status]
