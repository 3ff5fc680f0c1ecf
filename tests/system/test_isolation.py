"""What one caller may not touch, for every operation of the table: a new route is tested by its row in operations.py alone, which
must agree with the served document (test_transport.py). That file also has the tests without a token and of the roles."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from aggregates import body_of as node_body
from client import eventually, unique
from conftest import USER_ROLES, make_user, stack_directory
from contract import UNAUTHORIZED, check_error, check_ok, check_page, check_status
from operations import ABSENT
from test_bulk import ended, upload
from test_transport import guarded, openapi, shape, title

WRITES = ("POST", "PUT", "PATCH")
# Parameters that name something of the catalogue, which every workspace has, and no thing of a workspace.
CATALOGUE = {"eventType": "viewedPage", "name": "firstName", "baseProperty": "firstName", "schemaPath": "enums.json"}
# Valid bodies by the last fixed word of the path, so that what refuses the request is what it names.
BODIES = {
    "customers": {"base": {"firstName": "Intruder"}},
    "subscriptions": {"id": "s-2", "name": "Intruder", "subscribed": True},
    "educations": {"id": "e-2", "schoolType": "OTHER"},
    "jobs": {"id": "j-2", "jobTitle": "Intruder"},
    "likes": {"id": "l-2", "name": "Intruder"},
    "sessions": {"value": "intruder"},
    "events": {"type": "viewedPage", "context": "WEB", "properties": {}},
    "unique-customer-matching-policy": {"properties": ["externalId"], "caseSensitive": True},
}
SECRET = "Chrysanthemum"


def words(path):
    return path.strip("/").split("/")


def filled_with(path, workspace, things):
    """The path with the workspace, and with what `things` has of the collection that each parameter follows."""
    parts = words(path)
    for at, part in enumerate(parts):
        if part.startswith("{"):
            name = part.strip("{}")
            parts[at] = workspace if name == "workspaceId" else CATALOGUE.get(name) or things[parts[at - 1]]
    return "/" + "/".join(parts)


def names_things(operation):
    return any(part.startswith("{") and part.strip("{}") not in {"workspaceId", *CATALOGUE} for part in words(operation.path))


def body_of(operation):
    if operation.method not in WRITES:
        return None
    return BODIES.get([part for part in words(operation.path) if not part.startswith("{")][-1], {})


def call(client, operation, workspace, things, **more):
    if operation.path.endswith("{customerId}/entries"):
        more.setdefault("query", {"page": 0, "size": 10})
    return client.request(operation.method, filled_with(operation.path, workspace, things), body=body_of(operation), **more)


class Things:
    """A workspace with one thing of every kind that a path can name; [collection] is its id."""

    def __init__(self, space):
        self.space = space
        node, second = space.node(), space.node()
        self.description, self.source = space.source(node)
        made = check_ok(self.source.post("customers", {"nodeId": node, "base": {
            "firstName": SECRET, "contacts": {"email": f"{unique()}@example.com"}}}), 201)["id"]
        items = {name: {**BODIES[name], "id": f"x-{name}"} for name in ("subscriptions", "educations", "jobs", "likes")}
        for name, item in items.items():
            check_ok(self.source.post(f"customers/{made}/{name}", item), (200, 201))
        session = check_ok(self.source.post(f"customers/{made}/sessions", {"value": unique()}), 201)["id"]
        event = check_ok(self.source.post("events", {**BODIES["events"], "customerId": made}), 202)["id"]
        eventually(lambda: check_ok(self.source.get(f"events/{event}")))
        aggregate = check_ok(space.admin.post("configuration/nodes/aggregates", node_body(node, second)), 201)["id"]
        job = check_ok(upload(self.source, node), 201)["id"]
        ended(self.source, node, job)
        self.node = node
        self.ids = {"customers": made, "sessions": session, "events": event, "nodes": node, "entries": node, "aggregates": aggregate,
                    "bulk-jobs": job, "sources": self.description["id"], **{name: item["id"] for name, item in items.items()}}

    def __getitem__(self, collection):
        return self.ids[collection]

    def state(self):
        """What there is to be harmed."""
        paths = [f"customers/{self['customers']}", f"customers/{self['customers']}/sessions", f"events/{self['events']}", "configuration/nodes/entries",
                 "configuration/nodes/aggregates", "configuration/sources", f"nodes/{self.node}/bulk-jobs/{self['bulk-jobs']}/results"]
        return [check_status(self.space.admin.get(path), 200).raw for path in paths]


class Nothing:
    """Ids of nothing at all, of the form of those that there are."""

    def __init__(self, things):
        self.ids = {name: value if value.startswith("x-") else ABSENT["customerId"] for name, value in things.ids.items()}

    def __getitem__(self, collection):
        return self.ids[collection]


@pytest.fixture(scope="module")
def foreign(make_space):
    return Things(make_space("foreign"))


@pytest.fixture(scope="module")
def own(make_space):
    return Things(make_space("own"))


@pytest.fixture(scope="module")
def person(admin, own):
    """Somebody with every role in the workspace `own` and nowhere else."""
    return make_user(admin, USER_ROLES, "--workspace", own.space.id).in_workspace(own.space.id)


@pytest.fixture(scope="module", autouse=True)
def nothing_was_harmed(foreign):
    """After all tests of this file the foreign workspace is as before."""
    before = foreign.state()
    yield
    assert foreign.state() == before, "a caller from elsewhere changed something"


def without_ids(answer, things):
    """Status and body of an answer, less what must differ: the ids that were asked for, and the log reference."""
    text = answer.text
    for value in {things[name] for name in things.ids}:
        text = text.replace(value, "ID")
    body = json.loads(text)
    body.pop("logref", None)
    return answer.status, body


# --- tokens ------------------------------------------------------------------------------------------------------------------------


def jwt(subject, expires_s):
    """A user token as the operator's tool makes it, with an end of our choice."""
    key = (stack_directory() / "secrets/jwt.key").read_bytes().rstrip(b"\r\n")

    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = b".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": subject, "exp": expires_s}))
    return (text + b"." + encoded(hmac.new(key, text, hashlib.sha256).digest())).decode()


@pytest.fixture(scope="module")
def bad_tokens(admin, own):
    """Kind -> token that is no good any more, or never was."""
    subject = str(json.loads(base64.urlsafe_b64decode(admin.token.split(".")[1] + "=="))["sub"])
    good = jwt(subject, int(time.time()) + 600)
    check_ok(admin.get("/me", token=good), 200, "the same token with an end to come is good")
    description, disabled = own.space.source(own.node)
    change = {name: description[name] for name in ("id", "provider", "name", "nodes")}
    check_ok(own.space.admin.put(f"configuration/sources/{description['id']}", {**change, "enabled": False}))
    return {"expired": jwt(subject, int(time.time()) - 1), "forged": good[:-8] + "AAAAAAAA", "wrong": "0" * 64, "disabled": disabled.token}


@pytest.mark.parametrize("operation", guarded(), ids=title)
def test_bad_tokens_are_401(operation, own, bad_tokens):
    for kind, token in bad_tokens.items():
        answer = call(own.source, operation, own.space.id, own, token=token)
        assert answer.status == 401, f"a token that is {kind} is refused: {answer!r}"
        check_error(answer, 401, UNAUTHORIZED)


@pytest.fixture(scope="module")
def elsewhere(own):
    return own.space.source(own.node, properties={"allowedIPs": "203.0.113.7"})[1]


@pytest.mark.parametrize("operation", guarded(), ids=title)
def test_another_address_is_403(operation, own, elsewhere):
    check_error(call(elsewhere, operation, own.space.id, own), 403, "The source may not be used from this address")


# --- another workspace ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [row for row in guarded() if "{workspaceId}" in row.path], ids=title)
def test_a_foreign_workspace_is_403(operation, own, foreign, person):
    """It looks like one that does not exist, before the role and before anything in it is looked at."""
    for client in (own.source, person):
        for workspace in (foreign.space.id, ABSENT["nodeId"]):
            check_error(call(client, operation, workspace, foreign), 403, f"workspace not found: {workspace}")


@pytest.mark.parametrize("operation", [row for row in guarded() if names_things(row)], ids=title)
def test_things_of_a_foreign_workspace_look_absent(operation, own, foreign, person):
    nothing = Nothing(foreign)
    for client in (own.source, person):
        there, absent = (call(client, operation, own.space.id, things) for things in (foreign, nothing))
        check_error(there, (400, 403, 404, 415))
        assert without_ids(there, foreign) == without_ids(absent, nothing), f"{there!r} tells that it exists: {absent!r}"


def with_query(admin, name):
    """The operations that have this query parameter, as the served document says."""
    document = openapi(admin)
    having = {(method.upper(), shape(path)) for path, item in document["paths"].items() for method, facts in item.items()
              if any(row.get("name") == name and row.get("in") == "query" for row in facts.get("parameters", []))}
    return [row for row in guarded() if (row.method, shape(row.path)) in having]


@pytest.mark.parametrize("parameter, collection", [("nodeId", "nodes"), ("customerId", "customers")])
def test_queries_for_foreign_things_look_absent(admin, parameter, collection, own, foreign, person):
    operations = [row for row in with_query(admin, parameter) if row.method == "GET"]
    assert operations
    nothing = Nothing(foreign)
    for operation in operations:
        for client in (own.source, person):
            there, absent = (call(client, operation, own.space.id, own, query={parameter: things[collection]}) for things in (foreign, nothing))
            assert without_ids(there, foreign) == without_ids(absent, nothing), f"{there!r} tells that it exists: {absent!r}"
            assert SECRET not in there.text


def bodies_with(things):
    """(path, body) of writes that name something in their body."""
    event = BODIES["events"]
    yield "customers", {"nodeId": things["nodes"], "externalId": "x"}
    yield "events", {**event, "customerId": things["customers"]}
    yield "events", {**event, "bringBackProperties": {"type": "SESSION_ID", "value": "x", "nodeId": things["nodes"]}}
    yield "configuration/sources", {"provider": "API", "name": "x", "nodes": [things["nodes"]], "enabled": True}
    yield "configuration/nodes/aggregates", node_body(things["nodes"])
    yield "configuration/nodes/entries", {"name": "x", "sourcePriority": [things["sources"]],
                                          "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": False}}


@pytest.mark.parametrize("at", range(6))
def test_bodies_that_name_foreign_things(at, own, foreign, person):
    nothing = Nothing(foreign)
    for client in (own.source, person):
        (path, body), (_, other) = (list(bodies_with(things))[at] for things in (foreign, nothing))
        there, absent = client.post(path, body), client.post(path, other)
        check_error(there, (400, 403, 404))
        assert without_ids(there, foreign) == without_ids(absent, nothing), f"{there!r} tells that it exists: {absent!r}"


# --- another node of the own workspace ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neighbour(own):
    """A source of the same workspace on another node."""
    return own.space.trusted(own.space.node())


@pytest.mark.parametrize("operation", [row for row in guarded() if names_things(row) and "TRUSTED_APPLICATION" in row.roles], ids=title)
def test_a_source_without_the_node_is_refused(operation, own, neighbour):
    before = own.state()
    answer = call(neighbour, operation, own.space.id, own)
    check_error(answer, (403, 404, 415) if operation.path.endswith("/bulk-jobs") else (403, 404))
    assert SECRET not in answer.text
    assert own.state() == before, f"{operation.method} {operation.path} changed what the source may not touch"


def test_queries_for_a_node_without_permission_are_403(admin, own, neighbour):
    for operation in with_query(admin, "nodeId"):
        if "TRUSTED_APPLICATION" in operation.roles:
            answer = call(neighbour, operation, own.space.id, own, query={"nodeId": own.node})
            assert answer.status == 403, f"the source is not on this node: {answer!r}"
            check_error(answer, 403)


def test_the_callers_own_things_are_there(own):
    """The paths above name what is there: their caller gets it. (Entries are those of an aggregate node's profile.)"""
    found = [row for row in guarded(method="GET") if names_things(row) and "TRUSTED_APPLICATION" in row.roles and not row.path.endswith("}/entries")]
    assert found
    for operation in found:
        check_status(call(own.source, operation, own.space.id, own), 200)
    assert check_page(own.source.get("customers", {"nodeId": own.node}))


# --- who may write a node and not read it -------------------------------------------------------------------------------------------------


def test_who_may_not_read_a_node_learns_nothing_by_writing_it(make_space, admin):
    """A PATCH that changes nothing would tell the whole profile, and a POST whoever has an e-mail address."""
    space = make_space("write only")
    node, unique_mail = space.node(), f"{unique()}@example.com"
    person = {"nodeId": node, "base": {"lastName": SECRET, "contacts": {"email": unique_mail}}}
    customer = check_ok(space.trusted(node).post("customers", person), 201)["id"]
    writer = make_user(admin, ["USER"], "--workspace", space.id, "--node", node, "--permission", "W").in_workspace(space.id)
    path = f"customers/{customer}"
    check_error(writer.get(path), 403)
    assert check_ok(writer.patch(path, {})) == {"id": customer}
    assert check_ok(writer.put(path, {"base": {"contacts": {"email": unique_mail}}})) == {"id": customer}
    assert check_ok(writer.post("customers", {"nodeId": node, "base": {"contacts": {"email": unique_mail}}}), 201) == {"id": customer}
    key = {"Idempotency-Key": unique()}
    assert [check_ok(writer.patch(path, {"extra": "x"}, headers=key)) for _ in range(2)] == [{"id": customer}] * 2
    assert check_ok(writer.post(f"{path}/educations", {"id": "e", "schoolName": "s", "schoolType": "OTHER"})) == {"id": "e"}
    other = check_ok(writer.post("customers", {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}}), 201)["id"]
    conflict = check_error(writer.patch(f"customers/{other}", {"base": {"contacts": {"email": unique_mail}}}), 409)
    assert conflict["data"] == {"customer": None}
    both = make_user(admin, ["USER"], "--workspace", space.id, "--node", node, "--permission", "RW").in_workspace(space.id)
    assert SECRET in both.patch(path, {}).text
