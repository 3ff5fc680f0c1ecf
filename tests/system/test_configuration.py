"""Nodes, sources, matching policies, base and extended properties, event types: what an administrator sets is in force at once."""

import concurrent.futures
import json
import re
import socket
import time

import pytest

from client import eventually, new_id, unique
from contract import EVENT_TYPES, PASSIVE_TYPES, check_error, check_json, check_ok, check_page, check_status
from test_bad_input import head, status_of

BASE_PROPERTIES = """address address.city address.country address.geo address.geo.lat address.geo.lon address.province address.region
    address.street address.zip contacts contacts.email contacts.fax contacts.mobileDevices contacts.mobilePhone contacts.otherContacts
    contacts.phone credential credential.password credential.username dob educations firstName gender jobs lastName likes locale
    middleName pictureUrl prefix socialProfile socialProfile.facebook socialProfile.google socialProfile.instagram
    socialProfile.linkedin socialProfile.qzone socialProfile.twitter subscriptions timezone title""".split()
EVENT = {"type": "viewedPage", "context": "WEB", "properties": {}}


@pytest.fixture
def admin_(space):
    return space.admin


def mail(node, **more):
    return {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}, **more.pop("base", {})}, **more}


# --- entry nodes ------------------------------------------------------------------------------------------------------------------------


NODE = {"description": "d", "imageUrl": "https://shop.example/logo.png", "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": True},
        "sourcePriority": [], "mandatoryProperties": ["base.contacts.email"]}


def test_life_of_a_node(admin_):
    sent = {"name": unique("node"), **NODE}
    made = check_ok(admin_.post("configuration/nodes/entries", sent), 201)
    path = f"configuration/nodes/entries/{made['id']}"
    assert {name: made[name] for name in sent if name != "imageUrl"} == {name: sent[name] for name in sent if name != "imageUrl"}
    assert check_ok(admin_.get(path)) == made
    changed = {**made, "name": sent["name"] + "!", "description": None, "mandatoryProperties": []}
    answer = check_ok(admin_.put(path, changed))
    assert answer["name"] == changed["name"] and answer["description"] is None and answer["mandatoryProperties"] == []
    assert check_ok(admin_.get(path)) == answer, "GET shows the change at once"


def test_lists_of_nodes(make_space):
    space = make_space("nodes")
    made = [space.node(["externalId"]) for _ in range(3)]
    entries = check_page(space.admin.get("configuration/nodes/entries"), size=20, number=0, total=3)
    assert [entry["id"] for entry in entries] == made and entries[0] == check_ok(space.admin.get(f"configuration/nodes/entries/{made[0]}"))
    everything = check_page(space.admin.get("configuration/nodes"), size=20, number=0, total=3)
    for listed in everything:
        assert {"id", "name", "description", "nodeType", "retentionState", "properties"} <= set(listed), f"fields of a listed node: {listed}"
        assert listed["nodeType"] == "ENTRY" and listed["properties"]["uniqueCustomer"]["properties"] == ["externalId"]
        assert "mandatoryProperties" in listed["properties"] and type(listed["retentionState"]) is bool
    assert len(check_page(space.admin.get("configuration/nodes", {"nodeType": "ENTRY"}), total=3)) == 3
    assert check_page(space.admin.get("configuration/nodes", {"nodeType": "AGGREGATE"}), total=0) == []
    assert [entry["id"] for entry in check_page(space.admin.get("configuration/nodes/entries", {"size": 2, "page": 1}), size=2, number=1, total=3)] \
        == made[2:]
    check_error(space.admin.get("configuration/nodes", {"nodeType": "VIEW"}), 400, pointer="/nodeType")


@pytest.mark.parametrize("path", ["configuration/nodes", "configuration/nodes/entries"])
@pytest.mark.parametrize("query", [{"size": 51}, {"size": -1}, {"size": "x"}, {"page": 51}, {"page": -1}, {"page": "x"}], ids=str)
def test_bad_paging(admin_, path, query):
    check_error(admin_.get(path, query), 400)


@pytest.mark.parametrize("change, pointer", [
    ({"name": None}, "/name"), ({"name": 5}, "/name"), ({"description": 5}, "/description"), ({"uniqueCustomer": []}, "/uniqueCustomer"),
    ({"uniqueCustomer": {"properties": "externalId"}}, "/uniqueCustomer/properties"),
    ({"uniqueCustomer": {"properties": [1]}}, "/uniqueCustomer/properties/0"),
    ({"uniqueCustomer": {"properties": []}}, "/uniqueCustomer/properties"),
    ({"uniqueCustomer": {"properties": ["externalId"], "caseSensitive": "no"}}, "/uniqueCustomer/caseSensitive"),
    ({"mandatoryProperties": "x"}, "/mandatoryProperties"), ({"sourcePriority": ["not-a-uuid"]}, "/sourcePriority/0")], ids=str)
def test_wrong_nodes(admin_, change, pointer):
    check_error(admin_.post("configuration/nodes/entries", {"name": unique(), **NODE, **change}), 400, pointer=pointer)


def test_a_node_needs_a_name(admin_):
    check_error(admin_.post("configuration/nodes/entries", NODE), 400, pointer="/name")


@pytest.mark.parametrize("missing", ["id", "name", "uniqueCustomer"])
def test_put_of_a_node_needs(admin_, missing):
    made = check_ok(admin_.post("configuration/nodes/entries", {"name": unique(), **NODE}), 201)
    body = {name: value for name, value in made.items() if name != missing}
    check_error(admin_.put(f"configuration/nodes/entries/{made['id']}", body), 400, pointer=f"/{missing}")


def test_a_node_without_a_matching_policy(admin_):
    made = check_ok(admin_.post("configuration/nodes/entries", {"name": unique()}), 201)
    assert made["uniqueCustomer"]["properties"] == [], "a node that was made without a policy has none"
    path = f"configuration/nodes/entries/{made['id']}"
    assert check_ok(admin_.put(path, {**made, "name": "other"}))["name"] == "other", "it can be put as it was read"
    policy = {"properties": ["externalId"], "caseSensitive": True}
    check_ok(admin_.put(path, {**made, "uniqueCustomer": policy}))
    check_error(admin_.put(path, made), 400, pointer="/uniqueCustomer/properties")
    assert check_ok(admin_.get(path))["uniqueCustomer"] == policy


@pytest.mark.parametrize("node", ["123", "00000000-0000-4000-8000-000000000000"])
def test_unknown_nodes(admin_, node):
    message = f"node not found {node}"
    path = f"configuration/nodes/entries/{node}"
    check_error(admin_.get(path), 404, message)
    check_error(admin_.put(path, {"id": node, "name": "n", "uniqueCustomer": {"properties": ["externalId"]}}), 404, message)
    check_error(admin_.post(f"{path}/empty"), 404, message)
    check_error(admin_.get(f"{path}/unique-customer-matching-policy"), 404, message)
    check_error(admin_.put(f"{path}/unique-customer-matching-policy", {"properties": ["externalId"]}), 404, message)


@pytest.mark.parametrize("events_only", [False, True])
def test_empty_a_node(space, events_only):
    node, other = space.node(), space.node()
    client = space.trusted(node, other)
    made = [check_ok(client.post("customers", mail(one)), 201) for one in (node, node, other)]
    events = [check_ok(client.post("events", {**EVENT, "customerId": customer["id"]}), 202)["id"] for customer in made]
    for event in events:
        eventually(lambda: check_ok(client.get(f"events/{event}")))
    answer = space.admin.post(f"configuration/nodes/entries/{node}/empty", query={"eventsOnly": "true"} if events_only else None)
    check_status(answer, 200)
    eventually(lambda: check_page(client.get("events", {"nodeId": node}), total=0))
    eventually(lambda: check_page(client.get("customers", {"nodeId": node}), total=2 if events_only else 0))
    for event in events[:2]:
        eventually(lambda: check_error(client.get(f"events/{event}"), 404))
    answer = client.post("events", {**EVENT, "customerId": made[0]["id"]})
    if events_only:
        check_ok(answer, 202)
    else:
        check_error(answer, 404)
        check_error(client.get(f"customers/{made[0]['id']}"), 404)
        assert check_ok(client.post("customers", mail(node)), 201)["version"] == 1, "the node takes customers again"
    check_page(client.get("customers", {"nodeId": other}), total=1)
    check_ok(client.get(f"events/{events[2]}"))


@pytest.mark.parametrize("value", ["1", "yes", "", "truee"])
def test_what_is_no_flag_empties_nothing(space, value):
    node = space.node()
    client = space.trusted(node)
    check_ok(client.post("customers", mail(node)), 201)
    check_error(space.admin.post(f"configuration/nodes/entries/{node}/empty", query={"eventsOnly": value}), 400, pointer="/eventsOnly")
    check_page(client.get("customers", {"nodeId": node}), total=1)


def test_after_emptying_an_external_id_creates_a_customer(space):
    node = space.node()
    client = space.trusted(node)
    first = check_ok(client.post("customers", mail(node, externalId="x")), 201)["id"]
    event = {**EVENT, "bringBackProperties": {"type": "EXTERNAL_ID", "value": "x", "nodeId": node}}
    check_ok(client.post("events", event), 202)
    check_status(space.admin.post(f"configuration/nodes/entries/{node}/empty"), 200)
    eventually(lambda: check_page(client.get("customers", {"nodeId": node}), total=0))
    check_ok(client.post("events", event), 202)
    [made] = eventually(lambda: check_page(client.get("customers", {"nodeId": node}), total=1))
    assert made["externalId"] == "x" and made["id"] != first
    eventually(lambda: check_page(client.get("events", {"customerId": made["id"]}), total=1))


def test_repeats_of_configuration(make_space, admin):
    body = {"name": unique("repeat"), "slug": unique("slug"), "groupPk": 1, "shard": "default"}
    key = {"Idempotency-Key": unique("key")}
    made = [check_ok(admin.post("/workspaces", body, headers=key), 201) for _ in range(2)]
    assert made[0] == made[1] and len(check_page(admin.get("/workspaces", {"name": body["name"]}))) == 1
    check_error(admin.post("/workspaces", {**body, "groupPk": 2}, headers=key), 409)
    client = make_space("repeat").admin
    node = {"name": unique("node"), **NODE}
    key = {"Idempotency-Key": unique("key")}
    made = [check_ok(client.post("configuration/nodes/entries", node, headers=key), 201) for _ in range(2)]
    assert made[0] == made[1]
    check_page(client.get("configuration/nodes/entries"), total=1)


def test_after_emptying_new_events_stay(space):
    node = space.node()
    client = space.trusted(node)
    check_status(space.admin.post(f"configuration/nodes/entries/{node}/empty"), 200)
    customer = check_ok(client.post("customers", mail(node)), 201)
    check_ok(client.post("events", {**EVENT, "customerId": customer["id"]}), 202)
    eventually(lambda: check_page(client.get("events", {"nodeId": node}), total=1))


# --- matching policy -----------------------------------------------------------------------------------------------------------------------------


def test_matching_policy_of_a_node(space):
    node = space.node(["externalId"], case_sensitive=True)
    path = f"configuration/nodes/entries/{node}/unique-customer-matching-policy"
    assert check_ok(space.admin.get(path)) == {"properties": ["externalId"], "caseSensitive": True}
    policy = {"properties": ["base.contacts.email", "base.lastName"], "caseSensitive": False}
    assert check_ok(space.admin.put(path, policy)) == policy
    assert check_ok(space.admin.get(path)) == policy
    assert check_ok(space.admin.get(f"configuration/nodes/entries/{node}"))["uniqueCustomer"] == policy, "it is the node's uniqueCustomer"
    client = space.trusted(node)
    check_error(client.post("customers", {"nodeId": node, "externalId": "x"}), 400, pointer="/base/lastName")
    check_ok(client.post("customers", mail(node, base={"lastName": "x"})), 201)


def test_matching_policy_of_a_node_with_customers_stays(space):
    node = space.node()
    client = space.trusted(node)
    check_ok(client.post("customers", mail(node)), 201)
    path = f"configuration/nodes/entries/{node}/unique-customer-matching-policy"
    check_error(space.admin.put(path, {"properties": ["externalId"], "caseSensitive": True}), (400, 409))
    node_path = f"configuration/nodes/entries/{node}"
    whole = check_ok(space.admin.get(node_path))
    check_error(space.admin.put(node_path, {**whole, "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": True}}), (400, 409))
    assert check_ok(space.admin.get(path)) == {"properties": ["base.contacts.email"], "caseSensitive": False}
    check_ok(space.admin.put(node_path, {**whole, "name": "other"}))


def test_default_matching_policy(admin_):
    policy = check_ok(admin_.get("configuration/unique-customer-matching-policy"))
    assert set(policy) == {"properties", "caseSensitive"} and isinstance(policy["properties"], list)


@pytest.mark.parametrize("body", [{"properties": []}, {"properties": [5]}, {"properties": "externalId"}, {"properties": ["base.nothing"]},
                                  {"properties": ["nothing"]}, {"properties": ["externalId"], "caseSensitive": 1}], ids=str)
def test_wrong_matching_policy(space, body):
    node = space.node()
    check_error(space.admin.put(f"configuration/nodes/entries/{node}/unique-customer-matching-policy", body), 400)


# --- sources ----------------------------------------------------------------------------------------------------------------------------------------


def test_life_of_a_source(space):
    node = space.node()
    sent = {"provider": "API", "name": unique("source"), "description": "d", "nodes": [node], "enabled": True,
            "properties": {"allowedIPs": "127.0.0.1"}}
    made = check_ok(space.admin.post("configuration/sources", sent), 201)
    assert {name: made[name] for name in sent} == sent
    assert re.fullmatch("[0-9a-f]{64}", made["token"]), "a token is 64 hex characters, shown once"
    path = f"configuration/sources/{made['id']}"
    got = check_ok(space.admin.get(path))
    assert {name: got[name] for name in got if name != "token"} == {name: made[name] for name in got if name != "token"}
    assert got.get("token") != made["token"], "a token is shown once, at creation"
    changed = {name: value for name, value in got.items() if name != "token"}
    answer = check_ok(space.admin.put(path, {**changed, "name": "other", "description": None}))
    assert (answer["name"], answer["description"], answer["nodes"]) == ("other", None, [node])
    assert made["token"] not in str(answer) and check_ok(space.admin.get(path))["name"] == "other"
    listed = check_page(space.admin.get("configuration/sources"))
    assert made["id"] in {source["id"] for source in listed} and made["token"] not in str(listed)


def test_a_changed_source_acts_on_its_new_nodes_at_once(space):
    one, two = space.node(), space.node()
    description, client = space.source(one)
    body = {"id": description["id"], "provider": "API", "name": "moved", "nodes": [two], "enabled": True}
    check_ok(space.admin.put(f"configuration/sources/{description['id']}", body))
    check_error(client.post("customers", mail(one)), 403)
    check_ok(client.post("customers", mail(two)), 201)


def test_a_put_does_not_loosen_what_it_does_not_name(space):
    description, client = space.source(space.node())
    path = f"configuration/sources/{description['id']}"
    body = {name: description[name] for name in ("id", "provider", "name", "nodes")}
    limits = {"enabled": False, "properties": {"allowedIPs": "192.0.2.0/24"}}
    check_ok(space.admin.put(path, {**body, **limits}))
    answer = check_ok(space.admin.put(path, {**body, "name": "renamed"}))
    assert answer["name"] == "renamed" and {name: answer[name] for name in limits} == limits
    check_error(client.get("customers", {"nodeId": body["nodes"][0]}), (401, 403))
    answer = check_ok(space.admin.put(path, {**body, "enabled": None, "properties": None}))
    assert answer["enabled"] and "allowedIPs" not in answer["properties"]


@pytest.mark.parametrize("change", [{"nodes": []}, {"nodes": ["123"]}, {"nodes": ["00000000-0000-4000-8000-000000000000"]}, {"nodes": "x"},
                                    {"provider": "JavaScript"}, {"provider": "MAGENTO"}, {"provider": "ANDROID_SDK"}, {"provider": "NODEJS_SDK"},
                                    {"provider": "OTHER"}, {"provider": 5}, {"enabled": "yes"}, {"name": 5},
                                    {"properties": {"allowedIPs": "not-an-address"}}], ids=str)
def test_wrong_sources(space, node, change):
    body = {"provider": "API", "name": unique(), "nodes": [node], "enabled": True, **change}
    check_error(space.admin.post("configuration/sources", body), (400, 404))


@pytest.mark.parametrize("source", ["123", "00000000-0000-4000-8000-000000000000"])
def test_unknown_sources(admin_, node, source):
    path = f"configuration/sources/{source}"
    check_error(admin_.get(path), 404)
    check_error(admin_.put(path, {"provider": "API", "name": "n", "nodes": [node], "enabled": True}), 404)
    check_error(admin_.post(f"{path}/refresh-token"), 404)


def test_a_source_of_another_workspace_is_unknown(space, make_space):
    other = make_space("other")
    description, _ = other.source(other.node())
    check_error(space.admin.get(f"configuration/sources/{description['id']}"), 404)


def test_list_of_sources_is_paged(make_space):
    space = make_space("sources")
    node = space.node()
    made = [space.source(node)[0]["id"] for _ in range(3)]
    assert [source["id"] for source in check_page(space.admin.get("configuration/sources"), size=20, number=0, total=3)] == made


# --- base properties -------------------------------------------------------------------------------------------------------------------------------------


def enabled_of(admin):
    return {entry["name"]: entry["enabled"] for entry in check_ok(admin.get("configuration/properties/base"))["elements"]}


def test_base_properties(make_space):
    admin = make_space("base").admin
    elements = check_ok(admin.get("configuration/properties/base"))["elements"]
    assert all({"name", "description", "enabled"} <= set(entry) for entry in elements)
    assert sorted(entry["name"] for entry in elements) == sorted(BASE_PROPERTIES), "these 41 base properties can be switched"
    assert all(entry["enabled"] is True for entry in elements), "all are enabled in a new workspace"


@pytest.mark.parametrize("way", ["properties/base", "customers/properties"])
def test_disabled_base_property_refuses_values(make_space, way):
    space = make_space("disabled")
    node = space.node()
    client = space.trusted(node)
    customer = check_ok(client.post("customers", mail(node, base={"title": "Dr"})), 201)
    path, body = toggle(way, "title", False)
    assert check_ok(space.admin.put(path, body)).get("enabled", body.get("value")) is False
    assert enabled_of(space.admin)["title"] is False
    check_error(client.post("customers", mail(node, base={"title": "Dr"})), 400, pointer="/base/title")
    check_error(client.patch(f"customers/{customer['id']}", {"base": {"title": "Dr"}}), 400, pointer="/base/title")
    check_ok(client.patch(f"customers/{customer['id']}", {"base": {"title": None, "firstName": "A"}}))
    path, body = toggle(way, "title", True)
    check_ok(space.admin.put(path, body))
    check_ok(client.post("customers", mail(node, base={"title": "Dr"})), 201)


def toggle(way, name, value):
    if way == "properties/base":
        return f"configuration/properties/base/{name}", {"name": name, "description": "d", "enabled": value}
    return f"configuration/customers/properties/base/{name}/enabled", {"value": value}


def test_toggle_answers(make_space):
    admin = make_space("toggle").admin
    assert check_ok(admin.put("configuration/customers/properties/base/gender/enabled", {"value": False})) == {"value": False}
    answer = check_ok(admin.put("configuration/properties/base/gender", {"name": "gender", "enabled": True}))
    assert (answer["name"], answer["enabled"]) == ("gender", True)


def test_parent_sets_its_children(make_space):
    space = make_space("parents")
    node = space.node(["externalId"])
    client = space.trusted(node)
    check_ok(space.admin.put("configuration/customers/properties/base/address/enabled", {"value": False}))
    enabled = enabled_of(space.admin)
    assert not any(value for name, value in enabled.items() if name.startswith("address")), "a parent switches its children, too"
    assert enabled["contacts.email"] is True
    body = {"nodeId": node, "externalId": "x", "base": {"address": {"city": "Rome"}}}
    check_error(client.post("customers", body), 400)
    check_ok(space.admin.put("configuration/customers/properties/base/address/enabled", {"value": True}))
    assert all(enabled_of(space.admin).values())
    check_ok(space.admin.put("configuration/customers/properties/base/contacts.fax/enabled", {"value": False}))
    check_error(client.post("customers", {"nodeId": node, "externalId": "x", "base": {"contacts": {"fax": "1"}}}), 400, pointer="/base/contacts/fax")
    check_ok(client.post("customers", {"nodeId": node, "externalId": "x", "base": {"contacts": {"phone": "1"}}}), 201)


@pytest.mark.parametrize("name", ["nothing", "address.nothing", "base.title"])
def test_unknown_base_property(admin_, name):
    check_error(admin_.put(f"configuration/customers/properties/base/{name}/enabled", {"value": True}), (400, 404))
    check_error(admin_.put(f"configuration/properties/base/{name}", {"name": name, "enabled": True}), (400, 404))


@pytest.mark.parametrize("body", [{}, {"value": "no"}, {"value": None}, {"value": 1}], ids=str)
def test_wrong_toggle(admin_, body):
    check_error(admin_.put("configuration/customers/properties/base/title/enabled", body), 400, pointer="/value")


# --- extended properties of customers ---------------------------------------------------------------------------------------------------------------------------


def prop(kind, **more):
    labels = {"label": "L", "enabled": True, **more.pop("contactlab", {})}
    return {"type": kind, "contactlabProperties": labels, **more}


DECLARED = {
    "text": prop("string", contactlab={"maxLength": 10}), "plain": prop("string"), "amount": prop("number"), "count": prop("integer"),
    "flag": prop("boolean"), "day": prop("string", format="date"), "moment": prop("string", format="date-time"),
    "mailbox": prop("string", format="email"), "host": prop("string", format="hostname"), "link": prop("string", format="uri"),
    "four": prop("string", format="ipv4"), "six": prop("string", format="ipv6"), "numbers": prop("array", items={"type": "number"}),
    "texts": prop("array", items={"type": "string"}), "group": prop("object", properties={"inner": {"type": "string"}, "n": {"type": "integer"}}),
}
# property, a value that fits, values that do not
VALUES = [
    ("text", "0123456789", ["01234567890", 5, True, ["x"]]), ("plain", "x" * 255, ["x" * 256]), ("amount", 1.5, ["1.5", True]),
    ("count", 7, [7.5, "7"]), ("flag", False, ["false", 0]), ("day", "2020-02-29", ["2020-02-30", 5, "x"]),
    ("moment", "2020-01-02T03:04:05.000+0000", ["noon", 5]), ("mailbox", "a@b", ["no-at-sign"]), ("host", "shop.example", ["not a host!"]),
    ("link", "https://shop.example/x", ["not a link"]), ("four", "203.0.113.7", ["999.1.1.1", "x"]), ("six", "2001:db8::1", ["203.0.113.7", "x"]),
    ("numbers", [1, 2.5], ["x", [1, "2"], 5]), ("texts", ["a", "b"], [["a", 1], "a", ["x" * 600, "y" * 600]]),
    ("group", {"inner": "x", "n": 1}, [{"inner": 5}, {"other": 1}, "x"]),
]


@pytest.fixture(scope="module")
def declared(make_space):
    """(space, node, client) of a workspace with one extended property of each type."""
    space = make_space("extended")
    answer = check_ok(space.admin.put("configuration/properties/extended", DECLARED))
    assert set(answer) == set(DECLARED)
    node = space.node()
    return space, node, space.trusted(node)


def test_declared_properties_are_shown(declared):
    space, _, client = declared
    for caller in (space.admin, client):
        shown = check_ok(caller.get("configuration/properties/extended"))
        assert set(shown) == set(DECLARED)
        for name, schema in DECLARED.items():
            assert shown[name]["type"] == schema["type"] and shown[name]["contactlabProperties"]["label"] == "L"
    assert shown["text"]["contactlabProperties"]["maxLength"] == 10
    assert shown["plain"]["contactlabProperties"]["maxLength"] == 255, "255 is the default for texts"
    assert shown["texts"]["contactlabProperties"]["maxLength"] == 1000, "1000 is the default for lists of texts"


@pytest.mark.parametrize("name, good, bad", VALUES, ids=[row[0] for row in VALUES])
def test_values_of_extended_properties(declared, name, good, bad):
    _, node, client = declared
    made = check_ok(client.post("customers", mail(node, extended={name: good})), 201)
    assert made["extended"][name] == good, "the value comes back as it was sent"
    for value in bad:
        body = check_error(client.post("customers", mail(node, extended={name: value})), 400)
        assert any((entry["path"] or "").startswith(f"/extended/{name}") for entry in body["errors"]), \
            f"{value!r} is no {name}; errors must point below /extended/{name}: {body}"


def test_extended_properties_have_a_limit(make_space):
    admin, path = make_space("many").admin, "configuration/properties/extended"
    many = {f"p{number}": {"type": "number"} for number in range(2000)}
    check_ok(admin.put(path, many))
    check_error(admin.put(path, {**many, "more": {"type": "number"}}), 400)
    assert check_ok(admin.get(path)) == many


def test_extended_values_merge_and_unset(declared):
    _, node, client = declared
    made = check_ok(client.post("customers", mail(node, extended={"text": "a", "count": 1, "numbers": [1, 2]})), 201)
    path = f"customers/{made['id']}"
    patched = check_ok(client.patch(path, {"extended": {"count": 2, "numbers": [2, 3]}}))["extended"]
    assert (patched["text"], patched["count"], patched["numbers"]) == ("a", 2, [2, 3])
    again = check_ok(client.post("customers", {"nodeId": node, "base": {"contacts": made["base"]["contacts"]}, "extended": {"numbers": [3, 4]}}), 201)
    assert again["extended"]["numbers"] == [2, 3, 4], "POST appends and removes duplicates"
    unset = check_ok(client.patch(path, {"extended": {"text": None}}))["extended"]
    assert unset.get("text") is None and unset["count"] == 2
    assert check_ok(client.patch(path, {"extended": None}))["extended"] is None


@pytest.mark.parametrize("change", [
    {"with.dot": prop("string")}, {"a": prop("money")}, {"a": {"contactlabProperties": {}}}, {"a": "string"},
    {"a": prop("string", contactlab={"maxLength": 0})}, {"a": prop("string", contactlab={"maxLength": 6001})},
    {"a": prop("string", contactlab={"maxLength": "x"})}, {"": prop("string")},
    {"a": prop("object", properties={"b": {"type": "object", "properties": {"c": {"type": "string"}}}})}], ids=lambda value: str(value)[:60])
def test_wrong_declarations(make_space, change):
    check_error(make_space("wrong").admin.put("configuration/properties/extended", change), 400)


def test_indexed_is_for_the_operator(users, make_space):
    space = make_space("indexed")
    person = users["ADMIN"].in_workspace(space.id)
    check_ok(person.put("configuration/properties/extended", {"a": prop("string")}))
    answer = person.put("configuration/properties/extended", {"a": prop("string", contactlab={"indexed": True})})
    if answer.status == 200:
        assert not check_json(answer)["a"]["contactlabProperties"].get("indexed"), "only CLAB_OPERATOR can change indexed"
    else:
        check_error(answer, (400, 403))
    operator = users["CLAB_OPERATOR"].in_workspace(space.id)
    answer = check_ok(operator.put("configuration/properties/extended", {"a": prop("string", contactlab={"indexed": True})}))
    assert answer["a"]["contactlabProperties"]["indexed"] is True


def test_properties_document_of_customers(declared):
    space, _, _ = declared
    plain = check_ok(space.admin.get("configuration/customers/properties"))
    resolved = check_ok(space.admin.get("configuration/customers/properties", {"resolveReferences": "true"}))
    assert "base" in plain["properties"] and "firstName" in resolved["properties"]["base"]["properties"]
    assert "$ref" not in str(resolved), "resolveReferences puts everything in place"
    assert "count" in str(resolved["properties"]["extended"]), "it holds the workspace's own properties"


def test_extended_properties_belong_to_their_workspace(declared, make_space):
    other = make_space("other")
    node = other.node()
    check_error(other.trusted(node).post("customers", mail(node, extended={"count": 1})), 400, pointer="/extended/count")


# --- event types ---------------------------------------------------------------------------------------------------------------------------------------------


def test_event_types(make_space):
    admin = make_space("types").admin
    first = check_page(admin.get("configuration/events"), size=20, number=0, total=48)
    for entry in first:
        assert {"id", "type", "mode", "label", "description", "propertiesSchema", "enabled"} <= set(entry), f"fields of an event type: {entry}"
        assert entry["id"] == entry["type"] and entry["enabled"] is True
        assert entry["mode"] == ("PASSIVE" if entry["type"] in PASSIVE_TYPES else "ACTIVE")
    rest = check_page(admin.get("configuration/events", {"size": 50}), size=50, total=48)
    assert sorted(entry["type"] for entry in rest) == EVENT_TYPES
    one = check_ok(admin.get("configuration/events/abandonedCart"))
    assert one == next(entry for entry in rest if entry["type"] == "abandonedCart") and one["label"] == "Abandoned cart"
    resolved = check_ok(admin.get("configuration/events/abandonedCart", {"resolveReferences": "true"}))
    assert "$ref" not in str(resolved["propertiesSchema"])


def test_unknown_event_types(admin_):
    for path in ("configuration/events/nothing", "configuration/events/nothing/properties", "configuration/events/nothing/properties/extended"):
        check_error(admin_.get(path), (400, 404))
    check_error(admin_.put("configuration/events/nothing/enabled", {"value": True}), (400, 404))


@pytest.mark.parametrize("way", ["enabled", "whole"])
def test_disabled_event_type(make_space, way):
    space = make_space("types")
    node = space.node()
    client = space.trusted(node)
    customer = check_ok(client.post("customers", mail(node)), 201)["id"]

    def switch(value):
        if way == "enabled":
            assert check_ok(space.admin.put("configuration/events/viewedPage/enabled", {"value": value})) == {"value": value}
        else:
            body = {"id": "viewedPage", "type": "viewedPage", "enabled": value}
            assert check_ok(space.admin.put("configuration/events/viewedPage", body))["enabled"] is value
    switch(False)
    check_error(client.post("events", {**EVENT, "customerId": customer}), 400)
    assert check_ok(space.admin.get("configuration/events/viewedPage"))["enabled"] is False
    check_ok(client.post("events", {**EVENT, "type": "loggedIn", "customerId": customer}), 202)
    switch(True)
    check_ok(client.post("events", {**EVENT, "customerId": customer}), 202)


def test_extended_properties_of_an_event_type(make_space):
    space = make_space("events")
    node = space.node()
    client = space.trusted(node)
    customer = check_ok(client.post("customers", mail(node)), 201)["id"]
    path = "configuration/events/viewedPage/properties/extended"
    assert check_ok(space.admin.get(path)) == {}
    answer = check_ok(space.admin.put(path, {"section": prop("string"), "score": prop("integer")}))
    assert set(answer) == {"section", "score"} and check_ok(client.get(path)) == answer
    good = {**EVENT, "customerId": customer, "properties": {"extended": {"section": "news", "score": 3}}}
    event = check_ok(client.post("events", good), 202)["id"]
    assert eventually(lambda: check_ok(client.get(f"events/{event}")))["properties"] == good["properties"]
    for extended, pointer in (({"score": "3"}, "/properties/extended/score"), ({"other": 1}, "/properties/extended/other")):
        check_error(client.post("events", {**good, "properties": {"extended": extended}}), 400, pointer=pointer)
    check_error(client.post("events", {**good, "type": "loggedIn"}), 400, pointer="/properties/extended/section")
    schema = check_ok(space.admin.get("configuration/events/viewedPage/properties"))
    assert "title" in schema["properties"] and "score" in str(schema["properties"]["extended"])
    resolved = check_ok(client.get("configuration/events/completedOrder/properties", {"resolveReferences": "true"}))
    assert "$ref" not in str(resolved) and "products" in resolved["properties"]


def test_unknown_ids_of_configuration_do_not_leak_between_workspaces(space, make_space):
    other = make_space("other")
    node = other.node()
    check_error(space.admin.get(f"configuration/nodes/entries/{node}"), 404, f"node not found {node}")
    check_error(space.admin.get(f"configuration/sources/{new_id()}"), 404)


# --- models --------------------------------------------------------------------------------------------------------------------------------


def models_of(client, name, **query):
    answer = check_ok(client.get(f"models/{name}", query))
    assert list(answer) == ["elements"], "models are no pages"
    return {element["id"]: element for element in answer["elements"]}


def test_merge_policies_are_those_that_properties_may_have(space):
    policies = models_of(space.admin, "merge-policies")
    assert set(policies) == {"OBJ_PRIORITY", "OBJ_CONCATENATE", "ARRAY_UNION", "ARRAY_INTERSECTION", "MATH_SUM", "MATH_AVG", "MATH_DIFF",
                             "MATH_MIN", "MATH_MAX"}
    assert policies["OBJ_CONCATENATE"]["supportedTypes"] == ["string"] and all(policy["description"] for policy in policies.values())
    path = "configuration/properties/extended"
    declared = check_ok(space.admin.get(path))
    for policy in policies.values():
        for type_ in ("string", "number", "integer", "boolean"):
            name = f"p{policy['id']}{type_}"
            answer = space.admin.put(path, {**declared, name: {"type": type_, "contactlabProperties": {"mergePolicy": policy["id"]}}})
            declared = answer.json if answer.status == 200 else declared
            assert (answer.status == 200) == (type_ in policy["supportedTypes"]), f"{policy['id']} of a {type_}: {answer}"


def test_providers_are_those_of_sources(space, node):
    providers = models_of(space.admin, "providers")
    assert "allowedIPs" in providers["API"]["propertiesSchema"]["properties"]
    assert {providers["JavaScript"]["role"], providers["API"]["role"]} == {"UNTRUSTED_APPLICATION", "TRUSTED_APPLICATION"}
    for provider in providers:
        answer = space.admin.post("configuration/sources", {"provider": provider, "name": unique(), "nodes": [node]})
        if provider in ("API", "CONTACTSEND", "CONTACTPLAN"):
            check_ok(answer, 201)
        else:
            assert "can no longer be created" in str(check_error(answer, 400)), f"{provider} is known, though of the past: {answer}"
    assert {"API", "CONTACTSEND", "CONTACTPLAN", "JavaScript", "MAGENTO", "JAVA_SDK"} < set(providers)


def test_contexts_are_those_of_events(space):
    contexts = models_of(space.admin, "contexts")
    assert set(contexts) == {"CONTACT_CENTER", "DIGITAL_CAMPAIGN", "ECOMMERCE", "IOT", "MOBILE", "OTHER", "RETAIL", "SOCIAL", "WEB"}
    whole = models_of(space.admin, "contexts", resolveReferences="true")
    for name, context in contexts.items():
        assert json.loads(context["propertiesSchema"])["type"] and "$ref" not in whole[name]["propertiesSchema"]
    assert any("$ref" in context["propertiesSchema"] for context in contexts.values())
    check_error(space.admin.get("models/contexts", {"resolveReferences": "1"}), 400, pointer="/resolveReferences")
    check_error(space.admin.get("models/other"), 404)


# --- size -----------------------------------------------------------------------------------------------------------------


def test_the_configuration_of_a_workspace_has_a_largest_size(make_space):
    """Every gateway holds it in memory: one workspace's must not end what serves all."""
    space = make_space()
    large = {"a": {"type": "string", "examples": ["x" * 11] * 30000}}
    answers = [space.admin.put(f"configuration/events/{event_type}/properties/extended", large)
               for event_type in ("loggedIn", "loggedOut", "searched", "viewedPage", "clickedLink", "addedProduct",
                                  "removedProduct", "viewedProduct", "addedReward", "removedReward")]
    assert [answer.status for answer in answers] == [200] * 9 + [413], answers[-1]
    assert "4194304" in answers[-1].json["message"], answers[-1]
    events = space.admin.get("configuration/events", {"size": 50})
    assert events.status == 200 and len(events.json["elements"]) == 48
    smaller = space.admin.put("configuration/events/loggedIn/properties/extended", {"a": {"type": "string"}})
    assert smaller.status == 200, f"what makes it smaller is taken: {smaller}"
    again = space.admin.put("configuration/events/removedReward/properties/extended", large)
    assert again.status == 200, f"there is room again: {again}"


def test_numbers_count_with_all_their_digits(make_space):
    """1e300 is five bytes in a request and three hundred in the tables."""
    space = make_space()
    node = space.node()
    body = {"name": "numbers", "nodes": [node], "properties": {"a": "?"}}
    raw = json.dumps(body).replace('"?"', "[" + ",".join(["1e300"] * 10000) + "]").encode()
    first, second = (space.admin.post("configuration/sources", raw=raw) for _ in range(2))
    assert (first.status, second.status) == (201, 413), second


def test_faults_below_a_very_long_name_are_told_briefly(admin_):
    """Each names the place where it is: together they were a hundred times the request."""
    answer = admin_.put("configuration/properties/extended", {"~" * 400000: {f"x{n}": 1 for n in range(60)}})
    assert len(check_error(answer, 400)["errors"]) == 50 and len(answer.raw) < 200000


LARGE = json.dumps({"a": {"type": "string", "examples": ["x" * 11] * 30000}}).encode()


def test_writes_at_once_do_not_pass_the_largest_size_together(make_space):
    space = make_space()
    types = [element["id"] for element in space.admin.get("configuration/events", {"size": 50}).json["elements"]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        answers = list(pool.map(
            lambda name: space.admin.put(f"configuration/events/{name}/properties/extended", raw=LARGE).status, types[:16]))
    assert answers.count(413) >= 7 and set(answers) <= {200, 413}, answers


def test_writes_that_began_before_others_do_not_pass_it_either(make_space):
    """All their heads have come before the first of them is whole."""
    space = make_space()
    types = [element["id"] for element in space.admin.get("configuration/events", {"size": 50}).json["elements"]]
    waiting = [socket.create_connection(space.admin.address, timeout=30) for _ in range(12)]
    for line, name in zip(waiting, types):
        path = f"configuration/events/{name}/properties/extended"
        line.sendall(head(space.admin, "PUT", path, f"Content-Length: {len(LARGE)}") + LARGE[:-1])
    time.sleep(0.5)
    answers = []
    for line in waiting:
        line.sendall(LARGE[-1:])
        answers.append(status_of(line.recv(65536)))
        line.close()
    assert answers == [200] * 9 + [413] * 3
