"""What the processes write to their logs: no token, no personal data, whatever was sent. Runs last, so that the logs hold all that
the other modules did."""

import json
import os

import pytest

from client import SECRETS, eventually, unique
from conftest import stack_directory
from contract import check_ok

PROCESSES = ("gateway", "customer-merge", "event-ingest", "configuration")


@pytest.fixture
def logs():
    """A function that reads the logs of all own processes."""
    directory = stack_directory() / "logs"
    if os.environ.get("CONTACTHUB_URL") and not directory.is_dir():
        pytest.skip("the stack's logs are not on this machine")
    return lambda *more: {name: (directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                          for name in (*PROCESSES, *more)}


def test_logs_hold_no_personal_data(logs, people, source, node):
    mark = unique("personal").replace("-", "")
    base = {"firstName": mark, "contacts": {"email": f"{mark}@example.com"}, "credential": {"username": mark, "password": mark}}
    customer = people.new({"externalId": mark, "extra": mark, "base": base})
    source.patch(f"customers/{customer['id']}", {"base": {"dob": mark}})
    source.post("customers", {"nodeId": node, "base": {mark: mark}})
    source.post("customers", raw=b'{"extra":"' + mark.encode())
    source.patch(f"customers/{people.new()['id']}", {"base": {"contacts": {"email": f"{mark}@example.com"}}})
    source.get("customers", {"nodeId": node, "externalId": mark, "query": mark})
    source.get("customers", {"nodeId": node, "query": json.dumps({"query": {"type": "simple", "are": {"condition": {
        "type": "atomic", "attribute": f"base.{mark}", "operator": "EQUALS", "value": mark}}}})})
    source.get("customers", {"nodeId": node, "sort": f"base.{mark},up"})
    source.get(f"customers/{mark}")
    source.get("customers", token=mark)
    source.post("events", {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {mark: mark}})
    event = {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {"title": mark}}
    posted = check_ok(source.post("events", event, headers={"User-Agent": mark}), 202)["id"]
    eventually(lambda: check_ok(source.get(f"events/{posted}")))
    for name, text in logs("postgres").items():
        assert mark not in text, f"the log of {name} must not hold what a person's profile holds"


def test_logs_hold_no_token(logs):
    for name, text in logs("postgres").items():
        assert not any(secret in text for secret in SECRETS), f"the log of {name} must not hold a token"


def test_logs_are_json_lines(logs):
    """One JSON object per line, so that machines can read them; crash reports and libraries may add lines of their own."""
    for name, text in logs().items():
        lines = [line for line in text.splitlines() if line.startswith("{")]
        assert lines, f"{name} writes a log"
        for line in lines[-200:]:
            entry = json.loads(line)
            assert {"time", "level", "process", "message"} <= set(entry), f"a line of {name} says when, how bad, who and what: {sorted(entry)}"
