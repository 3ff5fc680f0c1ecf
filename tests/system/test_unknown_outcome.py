"""A worker that is silent: what clients are told meanwhile, and that nothing is lost or doubled by it. On a gateway of its own, which has little
patience; the stack's own gateway is not disturbed."""

import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from client import Client, eventually, new_id, unique
from conftest import psql_target, stack_directory
from contract import check_error, check_ok, check_page
from test_bulk import form, head_of

DEADLINE_MS = 1500
START_SECONDS = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**changes):
    directory = stack_directory() / "environment"
    settings = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}
    return {**os.environ, **settings, **{f"CONTACTHUB_{name}": str(value) for name, value in changes.items()}}


def binaries():
    """Those that the stack runs."""
    text = (stack_directory() / "service/gateway/run").read_text(encoding="utf-8")
    return re.search(r"CONTACTHUB_BIN=(\S+)", text).group(1)


@contextlib.contextmanager
def own_gateway(name, **changes):
    """(address, process) of a gateway beside that of the stack."""
    if not (stack_directory() / "service/gateway/run").exists():
        pytest.skip("the stack is not one of deploy/local/up: its processes cannot be frozen")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = environment(LISTEN_PORT=port, INSTANCE=name, PUBLIC_URL=url, **changes)
    with open(stack_directory() / f"logs/gateway-{name}.log", "ab") as log:
        gateway = subprocess.Popen([f"{binaries()}/gateway"], env=settings, stdout=log, stderr=log)

    def ready():
        try:
            return Client(url).get("/health/ready").status == 200
        except OSError as fault:
            raise AssertionError("it does not listen") from fault
    try:
        eventually(ready, START_SECONDS)
        yield url, gateway
    finally:
        gateway.terminate()
        gateway.wait(20)


@pytest.fixture(scope="module")
def impatient(stack):
    """Address of a gateway that gives every request little time, and takes two at once."""
    with own_gateway("impatient", REQUEST_DEADLINE_MS=DEADLINE_MS, MAX_IN_FLIGHT=2) as (url, _):
        yield url


@pytest.fixture
def caller(impatient, stack):
    return Client(impatient, stack["CONTACTHUB_TOKEN"], stack["CONTACTHUB_WORKSPACE"])


def freeze_customer_merge():
    """Its pid; False while it is just being started again, as after a replay of an earlier test."""
    text = (stack_directory() / "service/customer-merge/supervise/pid").read_text(encoding="ascii").strip()
    if not text:
        return False
    try:
        os.kill(int(text), signal.SIGSTOP)
    except ProcessLookupError:
        return False
    return int(text)


@pytest.fixture
def silent_worker(impatient):
    """customer-merge is frozen; the value wakes it."""
    pid = eventually(freeze_customer_merge)
    try:
        yield lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


def check_puts_off(answer, status):
    check_error(answer, status)
    assert answer.headers.get("retry-after", "").isdigit(), f"Retry-After must tell when to try again: {answer}"


def in_flight(caller, shared_node):
    """A request that is in work, as its open connection."""
    body = f'{{"nodeId":"{shared_node}","externalId":"{unique()}"}}'
    line = socket.create_connection(caller.address, timeout=30)
    line.sendall((f"POST {caller.path('customers')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
    return line


def test_an_unknown_outcome_names_its_command_which_counts_once(caller, shared_node, silent_worker, trusted):
    external_id, key = unique(), {"Idempotency-Key": new_id()}
    body = {"nodeId": shared_node, "externalId": external_id}
    began = time.monotonic()
    answer = caller.post("customers", body, headers=key)
    check_puts_off(answer, 504)
    assert DEADLINE_MS / 1000 <= time.monotonic() - began < DEADLINE_MS / 1000 + 3
    named = answer.json["data"]["commandId"]
    again = caller.post("customers", body, headers=key)
    check_puts_off(again, 504)
    assert again.json["data"]["commandId"] == named, "the same key is the same command"
    silent_worker()

    def there():
        page = check_page(trusted.get("customers", {"nodeId": shared_node, "externalId": external_id}), total=1)
        return page[0]["id"]
    made = eventually(there, 10)
    repeated = caller.post("customers", body, headers=key)
    assert (repeated.status, repeated.json["id"]) == (201, made), "a repeat gets the first result"
    assert check_ok(trusted.get(f"customers/{made}"))["version"] == 1, "three requests, one command"


def test_requests_above_the_limit_are_put_off(caller, shared_node, silent_worker):
    lines = [in_flight(caller, shared_node) for _ in range(2)]
    time.sleep(0.3)
    check_puts_off(caller.post("customers", {"nodeId": shared_node, "externalId": unique()}), 503)
    for line in lines:
        came = line.recv(65536)
        assert came.startswith(b"HTTP/1.1 504 ") and b"\r\nRetry-After: " in came, came
        line.close()


@pytest.fixture
def uploader(impatient, space):
    """Another workspace's node, and a caller who has it at that gateway."""
    node = space.node()
    client = space.trusted(node)
    client = Client(impatient, client.token, client.workspace)
    eventually(lambda: check_page(client.get(f"nodes/{node}/bulk-jobs")))
    return node, client


def test_a_file_that_has_come_is_not_put_off_like_others(uploader, caller, shared_node, silent_worker):
    """It was let in while there was room; now it would have to be sent again."""
    node, client = uploader
    body = form([("operation", "UPSERT"), ("file", "people.csv", "externalId\r\n1\r\n")])
    with socket.create_connection(client.address, timeout=30) as upload:
        upload.sendall(head_of(client, node, len(body)) + body[:40])
        time.sleep(0.3)
        lines = [in_flight(caller, shared_node) for _ in range(2)]
        time.sleep(0.3)
        check_puts_off(client.post("customers", {"nodeId": node, "externalId": unique()}), 503)
        upload.sendall(body[40:])
        came = upload.recv(65536)
        assert came.startswith(b"HTTP/1.1 201 "), came
    for line in lines:
        assert line.recv(65536).startswith(b"HTTP/1.1 504 ")
        line.close()


def test_an_upload_that_the_gateway_does_not_read_is_not_late(shared_node, trusted):
    """It waits for its turn, and for longer than a client may be silent: that is no 408."""
    body = form([("operation", "UPSERT"), ("file", "people.csv", b"externalId\r\n" + b"1\r\n" * 100_000)])
    with own_gateway("paced", REQUEST_DEADLINE_MS=100, UPLOAD_MIB_PER_S=1) as (url, _):
        client = Client(url, trusted.token, trusted.workspace)
        came = client.bytes(head_of(client, shared_node, len(body)) + body, 5)
    assert came.startswith(b"HTTP/1.1 503 "), came
    assert b"\r\nRetry-After: " in came, came


def test_a_refusal_whose_body_never_comes_says_when_to_try_again(caller, shared_node, silent_worker):
    """It is answered at its deadline, past the HTTP library."""
    lines = [in_flight(caller, shared_node) for _ in range(2)]
    time.sleep(0.3)
    head = (f"POST {caller.path('customers')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n").encode()
    came = caller.bytes(head, wait_s=10)
    for line in lines:
        line.close()
    assert came.startswith(b"HTTP/1.1 503 "), came
    assert b"\r\nRetry-After: " in came, came


def test_a_gateway_that_stops_answers_what_a_silent_worker_has(stack, shared_node, silent_worker):
    """Its outcome is not known, and the client hears that with the command's name, not a line that breaks."""
    with own_gateway("stopping", REQUEST_DEADLINE_MS=60000) as (url, gateway):
        line = in_flight(Client(url, stack["CONTACTHUB_TOKEN"], stack["CONTACTHUB_WORKSPACE"]), shared_node)
        time.sleep(0.5)
        gateway.terminate()
        came = line.recv(65536)
        line.close()
        assert came.startswith(b"HTTP/1.1 504 ") and b'"commandId":"' in came, came
        assert gateway.wait(20) == 0


def test_a_gateway_that_stops_answers_those_who_have_come(trusted):
    """The kernel has taken their connections, and would break them as soon as nobody listens."""
    with own_gateway("crowded") as (url, gateway):
        client = Client(url, trusted.token, trusted.workspace)
        gateway.send_signal(signal.SIGSTOP)
        lines = [socket.create_connection(client.address, timeout=20) for _ in range(100)]
        for line in lines:
            line.sendall(f"GET {client.path('customers/1')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n".encode())
        gateway.terminate()
        gateway.send_signal(signal.SIGCONT)
        came = {line.recv(12) for line in lines}
        for line in lines:
            line.close()
        assert came == {b"HTTP/1.1 404"}
        assert gateway.wait(20) == 0


def test_a_gateway_that_waits_for_kafka_stops_in_time(impatient):
    """Nobody listens at its address of Kafka, so it does not listen either."""
    port = free_port()
    settings = environment(LISTEN_PORT=port, KAFKA="127.0.0.1:1", INSTANCE="lonely")
    gateway = subprocess.Popen([f"{binaries()}/gateway"], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        with pytest.raises(OSError):
            Client(f"http://127.0.0.1:{port}").get("/health/ready")
    finally:
        began = time.monotonic()
        gateway.terminate()
        assert gateway.wait(20) == 0
        assert time.monotonic() - began < 15


WAITING = "FROM pg_stat_activity WHERE application_name = '{}' AND wait_event_type = 'Lock'"


@contextlib.contextmanager
def locks():
    """A session that locks tables: a function that it is told its statements by."""
    with subprocess.Popen(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", psql_target()], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as session:
        def tell(*statements):
            session.stdin.write("".join(f"{statement};\n" for statement in statements))
            session.stdin.flush()
        tell("SET search_path = contacthub", "SET lock_timeout = '10s'")
        try:
            yield tell
        finally:
            session.stdin.close()


def is_waiting(sql, process):
    return sql("SELECT count(*) " + WAITING.format(process)) != [["0"]]


def lock_results(sql, tell):
    """False while customer-merge has work of somebody else, as of an earlier test's bulk job."""
    tell("BEGIN", "LOCK TABLE command_results IN SHARE MODE")
    time.sleep(0.5)
    if is_waiting(sql, "customer-merge"):
        tell("ROLLBACK")
        return False
    return True


@contextlib.contextmanager
def frozen(service):
    pid = int((stack_directory() / f"service/{service}/supervise/pid").read_text(encoding="ascii"))
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_write_whose_result_cannot_be_read_is_no_failure(trusted, shared_node, sql):
    """Its worker's reply does not come, so that the customer is read again for the answer. That it cannot be read must not look as if nothing
    had been done."""
    body = {"nodeId": shared_node, "externalId": unique()}
    with locks() as tell, concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        eventually(lambda: lock_results(sql, tell), 30)
        write = pool.submit(trusted.post, "customers", body)
        eventually(lambda: is_waiting(sql, "customer-merge"))
        with frozen("kafka"):
            tell("COMMIT", "BEGIN", "LOCK TABLE customers")
            eventually(lambda: sql("SELECT count(pg_cancel_backend(pid)) " + WAITING.format("gateway")) != [["0"]])
            answer = write.result()
    check_puts_off(answer, 504)
    assert answer.json["data"]["commandId"], "it names its command"
    check_page(trusted.get("customers", {"nodeId": shared_node, "externalId": body["externalId"]}), total=1)
