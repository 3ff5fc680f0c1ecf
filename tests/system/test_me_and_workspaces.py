"""Who am I, and the workspaces: list, create, get, status."""

import pytest

from client import Client, eventually, unique
from contract import UNAUTHORIZED, check_error, check_ok, check_page, check_status
from test_bad_input import head, status_of
from test_unknown_outcome import own_gateway

PERSON = {"base": {"contacts": {"email": "someone@example.com"}}}


# --- /me ------------------------------------------------------------------------------------------------------------------


def test_me_of_a_person(admin):
    me = check_ok(admin.get("/me"))
    assert {"id", "name", "surname", "groups", "lang", "email", "roles", "mc"} <= set(me), f"/me has these fields: {sorted(me)}"
    assert type(me["id"]) is int, "a user's id is a number"
    assert {"CLAB_OPERATOR", "ADMIN", "USER", "GUEST", "DPO", "PLATFORM_UPDATES"} <= set(me["roles"])


def test_me_lists_workspaces_and_nodes(admin, shared_node):
    groups = check_ok(admin.get("/me"))["groups"]
    workspaces = {workspace["id"]: workspace for group in groups for workspace in group["workspaces"]}
    assert admin.workspace in workspaces, "groups hold the caller's workspaces"
    workspace = workspaces[admin.workspace]
    assert workspace["status"] == "ENABLED" and workspace["name"]
    nodes = {node["id"]: node for node in workspace["nodes"]}
    assert nodes[shared_node]["type"] == "ENTRY" and nodes[shared_node]["permission"] in ("R", "RW", "W")


def test_me_of_each_role(users):
    for role, client in users.items():
        assert check_ok(client.get("/me"))["roles"] == [role]


def test_me_of_a_trusted_source(trusted):
    assert isinstance(check_ok(trusted.get("/me")), dict)


def test_me_of_an_untrusted_source_tells_nothing(untrusted):
    me = check_ok(untrusted.get("/me"))
    assert set(me) <= {"id"}, f"every answer to an untrusted source holds at most an id: {sorted(me)}"


# --- workspaces --------------------------------------------------------------------------------------------------------------


def body(**more):
    return {"name": unique("Workspace"), "slug": unique("slug"), "groupPk": 7, "shard": "default", **more}


def test_create_get_list(admin):
    sent = body()
    made = check_ok(admin.post("/workspaces", sent), 201)
    assert {name: made[name] for name in sent} == sent, "the answer repeats what was sent"
    assert made["status"] == "ENABLED" and set(made) == {"id", "name", "slug", "groupPk", "shard", "status"}
    assert check_ok(admin.get(f"/workspaces/{made['id']}")) == made, "GET shows it at once"
    found = check_page(admin.get("/workspaces", {"name": sent["name"]}))
    assert found == [made], "name filters by substring"
    found = check_page(admin.get("/workspaces", {"name": sent["name"][4:-1]}))
    assert made in found, "name filters by substring"
    assert check_page(admin.get("/workspaces", {"name": sent["name"], "groupPk": 8})) == [], "groupPk filters"
    assert check_page(admin.get("/workspaces", {"name": sent["name"], "groupPk": 7})) == [made], "groupPk filters"


@pytest.mark.parametrize("group", ["x", "7.5", "-1", "7,8", "9" * 30])
def test_what_is_no_group_filters_nothing(admin, group):
    check_error(admin.get("/workspaces", {"groupPk": group}), 400, pointer="/groupPk")


@pytest.mark.parametrize("missing", ["name", "slug", "groupPk", "shard"])
def test_required_fields(admin, missing):
    sent = body()
    del sent[missing]
    check_error(admin.post("/workspaces", sent), 400, pointer=f"/{missing}")


@pytest.mark.parametrize("field, value", [("name", 5), ("slug", None), ("groupPk", "seven"), ("groupPk", 1.5), ("shard", "no-such-shard")])
def test_wrong_fields(admin, field, value):
    check_error(admin.post("/workspaces", body(**{field: value})), 400)


def test_paging(admin, make_space):
    for _ in range(2):
        make_space("paging")
    first = check_page(admin.get("/workspaces", {"size": 1}), size=1, number=0)
    second = check_page(admin.get("/workspaces", {"size": 1, "page": 1}), size=1, number=1)
    assert first and second and first != second
    check_page(admin.get("/workspaces"), size=20)
    check_page(admin.get("/workspaces", {"size": 50}), size=50)


@pytest.mark.parametrize("query", [{"size": 51}, {"size": -1}, {"size": "x"}, {"page": -1}, {"page": 51}, {"page": "x"}, {"size": "1.5"}])
def test_bad_paging(admin, query):
    check_error(admin.get("/workspaces", query), 400)


def test_unknown_workspace(admin):
    workspace = "00000000-0000-4000-8000-00000000000a"
    check_error(admin.get(f"/workspaces/{workspace}"), 403, f"workspace not found: {workspace}")


@pytest.mark.parametrize("status", ["", "enabled", "UNKNOWN", None, 1])
def test_unknown_status(make_space, status):
    space = make_space("status")
    check_error(space.admin.put("status", {"status": status}), 400)


def test_suspended_refuses_writes_and_reads_on(make_space):
    space = make_space("suspended")
    node = space.node()
    source = space.trusted(node)
    customer = check_ok(source.post("customers", {"nodeId": node, **PERSON}), 201)
    assert check_ok(space.admin.put("status", {"status": "SUSPENDED"})) == {"status": "SUSPENDED"}
    path = f"customers/{customer['id']}"
    check_error(source.post("customers", {"nodeId": node, **PERSON}), 403)
    check_error(source.patch(path, {"extra": "x"}), 403)
    check_error(source.put(path, {"nodeId": node, **PERSON}), 403)
    check_error(source.delete(path), 403)
    check_error(source.post("events", {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {}}), 403)
    assert check_ok(source.get(path))["id"] == customer["id"], "reads go on in a suspended workspace"
    check_page(source.get("customers", {"nodeId": node}), total=1)
    check_ok(space.admin.put("status", {"status": "ENABLED"}))
    check_ok(source.patch(path, {"extra": "x"}))


def test_disabled_refuses_all(make_space):
    space = make_space("disabled")
    node = space.node()
    source = space.trusted(node)
    customer = check_ok(source.post("customers", {"nodeId": node, **PERSON}), 201)
    check_ok(space.admin.put("status", {"status": "DISABLED"}))
    for answer in (source.get(f"customers/{customer['id']}"), source.get("customers", {"nodeId": node}), source.get("events"),
                   source.post("customers", {"nodeId": node, **PERSON}), space.admin.get("configuration/sources"),
                   space.admin.put("configuration/properties/extended", {}), source.get("/me")):
        check_error(answer, 403)
    assert check_ok(space.admin.get("/me")), "a person is not the workspace's alone"
    assert check_ok(space.admin.put("status", {"status": "ENABLED"}))["status"] == "ENABLED", "the operator can enable it again"
    check_ok(source.get(f"customers/{customer['id']}"))


# --- its own configuration -----------------------------------------------------------------------------------------------------

SETTINGS = {"industry": "NotDefined", "logo": None, "timezone": "Europe/Rome", "currency": "EUR", "customerUniquenessPolicy": "MERGE"}


def test_configuration_of_a_new_workspace(make_space):
    space = make_space("configuration")
    name = check_ok(space.admin.get(f"/workspaces/{space.id}"))["name"]
    assert check_ok(space.admin.get("configuration")) == {"name": name, **SETTINGS, "tier": None}


def test_configuration_is_changed(make_space):
    space = make_space("configuration")
    changed = check_ok(space.admin.put("configuration", {"name": "Renamed", "timezone": "Europe/London", "currency": "USD"}))
    assert changed == {**SETTINGS, "name": "Renamed", "timezone": "Europe/London", "currency": "USD", "tier": None}
    read = check_ok(space.admin.get("configuration"))
    assert read == changed
    assert check_ok(space.admin.put("configuration", read)) == changed, "what was read may be put back"
    assert check_ok(space.admin.get(f"/workspaces/{space.id}"))["name"] == "Renamed"
    assert check_ok(space.admin.put("status", {"status": "SUSPENDED"}))["status"] == "SUSPENDED"
    assert check_ok(space.admin.get("configuration")) == read, "other writes of the workspace leave it alone"


def test_wrong_configuration(make_space):
    space = make_space("configuration")
    before = check_ok(space.admin.get("configuration"))
    error = check_error(space.admin.put("configuration", {"name": "N", "timezone": "Mars", "currency": None}), 400)
    assert [problem["path"] for problem in error["errors"]] == ["/timezone", "/currency"]
    assert check_ok(space.admin.get("configuration")) == before, "nothing of it is stored"


# --- sources as callers --------------------------------------------------------------------------------------------------------


def test_disabled_source_is_refused(make_space):
    space = make_space("source")
    node = space.node()
    description, source = space.source(node)
    check_page(source.get("customers", {"nodeId": node}))
    change = {name: description[name] for name in ("id", "provider", "name", "nodes")}
    check_ok(space.admin.put(f"configuration/sources/{description['id']}", {**change, "enabled": False}))
    check_error(source.get("customers", {"nodeId": node}), (401, 403))
    check_error(source.post("customers", {"nodeId": node, **PERSON}), (401, 403))
    check_ok(space.admin.put(f"configuration/sources/{description['id']}", {**change, "enabled": True}))
    check_page(source.get("customers", {"nodeId": node}))


def test_source_acts_on_its_nodes_only(make_space):
    space = make_space("nodes")
    own, other = space.node(), space.node()
    source, everywhere = space.trusted(own), space.trusted(own, other)
    stranger = check_ok(everywhere.post("customers", {"nodeId": other, **PERSON}), 201)
    check_error(source.get("customers", {"nodeId": other}), 403)
    check_error(source.post("customers", {"nodeId": other, **PERSON}), 403)
    for answer in (source.get(f"customers/{stranger['id']}"), source.patch(f"customers/{stranger['id']}", {"extra": "x"}),
                   source.delete(f"customers/{stranger['id']}"), source.get(f"customers/{stranger['id']}/sessions")):
        body_ = check_error(answer, (403, 404))
        assert "someone@example.com" not in str(body_)
    event = {"type": "viewedPage", "context": "WEB", "properties": {}}
    check_error(source.post("events", {**event, "customerId": stranger["id"]}), (403, 404))
    bring_back = {"type": "SESSION_ID", "value": unique(), "nodeId": other}
    check_error(source.post("events", {**event, "bringBackProperties": bring_back}), 403)
    check_error(source.get("events", {"nodeId": other}), 403)
    posted = check_ok(everywhere.post("events", {**event, "customerId": stranger["id"]}), 202)["id"]
    eventually(lambda: check_ok(everywhere.get(f"events/{posted}")))
    check_error(source.get(f"events/{posted}"), (403, 404))
    assert check_page(source.get("events")) == [], "a search without nodeId shows the events of the caller's nodes only"
    assert check_ok(everywhere.get(f"customers/{stranger['id']}"))["extra"] is None, "nothing was written"


def test_source_from_another_address_is_refused(make_space):
    space = make_space("addresses")
    node = space.node()
    _, elsewhere = space.source(node, properties={"allowedIPs": "203.0.113.7"})
    _, here = space.source(node, properties={"allowedIPs": "127.0.0.1"})
    _, ranged = space.source(node, properties={"allowedIPs": "127.0.0.0/8"})
    check_error(elsewhere.get("customers", {"nodeId": node}), (401, 403))
    check_error(elsewhere.get("customers", {"nodeId": node}, headers={"X-Forwarded-For": "203.0.113.7"}), (401, 403))
    check_page(here.get("customers", {"nodeId": node}))
    check_page(ranged.get("customers", {"nodeId": node}))


def test_what_a_trusted_proxy_tells_is_the_clients_address(make_space):
    """TLS ends in front of the gateway: without it, a list of addresses and events' contexts would know the proxy alone."""
    space = make_space("proxied")
    node = space.node()
    _, limited = space.source(node, properties={"allowedIPs": "203.0.113.7"})
    everywhere = space.trusted(node)
    with own_gateway("proxied", TRUSTED_PROXIES="127.0.0.0/8 192.0.2.1") as (url, _):
        behind = Client(url, limited.token, limited.workspace)

        def ask(*forwarded):
            return status_of(behind.bytes(head(behind, "GET", f"customers?nodeId={node}", "Connection: close",
                                                 *(f"X-Forwarded-For: {value}" for value in forwarded))))
        assert [ask("203.0.113.7"), ask("198.51.100.1, 203.0.113.7, 192.0.2.1"), ask("198.51.100.1", "203.0.113.7")] == [200] * 3
        assert [ask(), ask("203.0.113.7, 198.51.100.1"), ask("203.0.113.7", "198.51.100.1"), ask("203.0.113.7, unknown")] == [403] * 4
        trusted = Client(url, everywhere.token, everywhere.workspace)
        customer = check_ok(trusted.post("customers", {"nodeId": node, **PERSON}), 201)["id"]
        event = {"type": "viewedPage", "context": "WEB", "properties": {}, "customerId": customer}
        posted = check_ok(trusted.post("events", event, headers={"X-Forwarded-For": "203.0.113.7"}), 202)["id"]
        found = eventually(lambda: check_ok(trusted.get(f"events/{posted}")))
        assert found["contextInfo"]["client"]["ip"] == "203.0.113.7"


def test_refreshed_token_replaces_the_old_one(make_space):
    space = make_space("refresh")
    node = space.node()
    description, source = space.source(node)
    answer = check_ok(space.admin.post(f"configuration/sources/{description['id']}/refresh-token"))
    fresh = space.admin.with_token(answer["token"])
    assert answer["id"] == description["id"]
    assert len(answer["token"]) == 64 and fresh.token != source.token, "a token is 64 hex characters, each time another one"
    check_error(source.get("customers", {"nodeId": node}), 401, UNAUTHORIZED)
    check_page(fresh.get("customers", {"nodeId": node}))


def test_throttling_answers_429_with_retry_after(make_space):
    space = make_space("throttled")
    node = space.node()
    source = space.trusted(node)
    assert check_ok(space.admin.get("configuration/throttling")) == {"maxRequestsPerMinute": 0}, "0, no throttling, is the default"
    assert check_ok(space.admin.put("configuration/throttling", {"maxRequestsPerMinute": 5})) == {"maxRequestsPerMinute": 5}
    answers = [source.get("customers", {"nodeId": node}) for _ in range(12)]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused and len(refused) < 12, f"of 12 requests at 5 a minute some pass and some do not: {[a.status for a in answers]}"
    for answer in refused:
        check_error(answer, 429)
        assert answer.headers.get("retry-after", "").isdigit() and int(answer.headers["retry-after"]) >= 1, \
            f"429 says in whole seconds when to come back: {answer.headers}"


@pytest.mark.parametrize("value", [-1, 1.5, "5", None])
def test_bad_throttling(space, value):
    check_error(space.admin.put("configuration/throttling", {"maxRequestsPerMinute": value}), 400)


def test_throttling_does_not_touch_other_workspaces(make_space, trusted, shared_node):
    space = make_space("throttled")
    check_ok(space.admin.put("configuration/throttling", {"maxRequestsPerMinute": 1}))
    for _ in range(4):
        space.admin.get("configuration/sources")
        check_status(trusted.get("customers", {"nodeId": shared_node}), 200)
