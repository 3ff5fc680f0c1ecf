"""What the gateway counts, as Prometheus reads it."""

import re

import pytest

from client import eventually
from conftest import USER_ROLES
from contract import check_error, check_status
from test_bad_input import head

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)*)\})? ([0-9.e+-]+)$')
GET_CUSTOMER = ("GET", "/workspaces/{workspaceId}/customers/{customerId}")
KINDS = {"reads", "searches", "events", "commands"}


def scrape(admin):
    """{name: type}, {(name, labels): value}; every line must be one of the format's."""
    answer = admin.get("/metrics")
    check_status(answer, 200)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    types, values = {}, {}
    for line in answer.text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types, f"{name} is told once"
            types[name] = kind
            continue
        sample = SAMPLE.match(line)
        assert sample, f"no sample: {line}"
        name, labels, value = sample.groups()
        key = name, tuple(re.findall(r'([a-z]+)="([^"]*)"', labels or ""))
        assert key not in values, f"told twice: {line}"
        assert {name, re.sub("_(bucket|sum|count)$", "", name)} & types.keys(), f"{name} has a type before its samples"
        values[key] = float(value)
    return types, values


def answered(values, route, status):
    return values.get(("contacthub_requests_total", (("method", route[0]), ("path", route[1]), ("status", status))), 0)


def test_answers_are_counted_by_route_and_status(admin, trusted):
    before = scrape(admin)[1]
    for _ in range(3):
        check_error(trusted.get("customers/00000000-0000-4000-8000-00000000dead"), 404)
    check_error(admin.get("/nowhere"), 404)
    types, after = scrape(admin)
    assert types["contacthub_requests_total"] == "counter"
    assert answered(after, GET_CUSTOMER, "404") - answered(before, GET_CUSTOMER, "404") >= 3
    assert answered(after, ("", ""), "404") - answered(before, ("", ""), "404") >= 1
    assert not any("dead" in label for _, labels in after for _, label in labels), "a label names the route alone"


def test_refusals_of_what_is_too_large_are_counted(admin, trusted):
    """Headers that nobody reads on, and a body that is not read to its end: its answer goes past the HTTP library."""
    before = scrape(admin)[1]
    assert b" 431 " in trusted.bytes(head(trusted, "GET", "stats/info", f"X-Long: {'x' * 15_000}"), 1)
    size = (1 << 20) + 1
    assert b" 413 " in trusted.bytes(head(trusted, "GET", "stats/info", f"Content-Length: {size}") + bytes(size), 1)
    after = scrape(admin)[1]
    assert answered(after, ("", ""), "431") - answered(before, ("", ""), "431") == 1
    info = ("GET", "/workspaces/{workspaceId}/stats/info")
    assert answered(after, info, "413") - answered(before, info, "413") == 1


def test_times_are_a_histogram(admin, trusted):
    trusted.get("customers/00000000-0000-4000-8000-00000000dead")
    types, values = scrape(admin)
    assert types["contacthub_request_seconds"] == "histogram"
    route = (("method", GET_CUSTOMER[0]), ("path", GET_CUSTOMER[1]))
    buckets = [value for (name, labels), value in values.items() if name == "contacthub_request_seconds_bucket" and labels[:2] == route]
    assert buckets == sorted(buckets) and len(buckets) == 14
    assert buckets[-1] == values["contacthub_request_seconds_count", route] >= 1
    assert values["contacthub_request_seconds_sum", route] > 0


def test_state_is_told(admin):
    types, values = scrape(admin)
    assert values["contacthub_kafka_up", ()] == values["contacthub_database_up", ()] == 1
    assert values["contacthub_connections", ()] >= 1
    assert values["process_resident_memory_bytes", ()] > 1e6
    assert values["process_cpu_seconds_total", ()] > 0
    for name in ("contacthub_requests_in_work", "contacthub_requests_in_work_limit", "contacthub_requests_put_off_total"):
        assert {labels[0][1] for at, labels in values if at == name} == KINDS
        assert types[name] == ("counter" if name.endswith("_total") else "gauge")


def test_dead_letters_are_known(admin):
    eventually(lambda: ("contacthub_dead_letters", ()) in scrape(admin)[1], timeout=15)
    assert scrape(admin)[1]["contacthub_dead_letters", ()] >= 0


@pytest.mark.parametrize("role", USER_ROLES)
def test_metrics_are_the_operators(users, role):
    answer = users[role].get("/metrics")
    if role == "CLAB_OPERATOR":
        check_status(answer, 200)
    else:
        check_error(answer, 403)


def test_metrics_need_a_token(admin, trusted, untrusted):
    check_error(admin.get("/metrics", token=None), 401)
    check_error(trusted.get("/metrics"), 403)
    check_error(untrusted.get("/metrics"), 403)
