"""Aggregate nodes as configuration: what they are made of, what may change, what is refused."""

import pytest

from aggregates import BUILD_S, EVENT, PATH, body_of, make, state
from client import eventually, new_id, unique
from contract import check_error, check_ok, check_page


@pytest.fixture(scope="module")
def shop(space):
    return space.node(["externalId"])


@pytest.fixture(scope="module")
def letter(space):
    return space.node(["externalId"])


def test_life_of_a_node(space, shop, letter):
    filters = [{"property": "base.contacts.email", "value": "test", "pattern": "START_WITH"}]
    sent = body_of(shop, letter, exclusionFilters=filters)
    made = check_ok(space.admin.post(PATH, sent), 201)
    assert made == {**sent, "id": made["id"], "state": "NEW"}
    path = f"{PATH}/{made['id']}"
    assert check_ok(space.admin.get(path)) == made
    changed = {**made, "name": unique("renamed"), "description": None, "exclusionFilters": None}
    answer = check_ok(space.admin.put(path, changed))
    assert answer == {**changed, "exclusionFilters": []}
    assert check_ok(space.admin.get(path)) == answer
    kept = check_ok(space.admin.put(path, {"name": "n", "exclusionFilters": filters}))
    assert kept["entryNodes"] == [shop, letter] and kept["matchingProperties"] == made["matchingProperties"]
    assert check_ok(space.admin.put(path, {"name": "m"}))["exclusionFilters"] == filters, "filters that are not sent stay"


def test_lists(make_space):
    space = make_space("aggregates")
    shop, letter = space.node(), space.node()
    assert check_page(space.admin.get(PATH), total=0, size=20, number=0) == []
    made = [make(space, shop, letter) for _ in range(3)]
    assert check_page(space.admin.get(PATH), total=3, size=20, number=0) == made
    assert check_page(space.admin.get(PATH, {"size": 2, "page": 1}), total=3, size=2, number=1) == made[2:]
    check_page(space.admin.get("configuration/nodes"), total=5)
    check_page(space.admin.get("configuration/nodes/entries"), total=2)
    listed = check_page(space.admin.get("configuration/nodes", {"nodeType": "AGGREGATE"}), total=3)[0]
    assert listed["nodeType"] == "AGGREGATE" and listed["id"] == made[0]["id"] and listed["name"] == made[0]["name"]
    assert listed["properties"] == {name: made[0][name] for name in ("state", "entryNodes", "exclusionFilters", "matchingProperties")}


FILTER = {"property": "base.firstName", "value": "x", "pattern": "EQUALS"}


@pytest.mark.parametrize("change, pointer", [
    ({"name": None}, "/name"), ({"name": 5}, "/name"), ({"description": 5}, "/description"), ({"imageUrl": 5}, "/imageUrl"),
    ({"entryNodes": None}, "/entryNodes"), ({"entryNodes": []}, "/entryNodes"), ({"entryNodes": "x"}, "/entryNodes"),
    ({"entryNodes": ["x"]}, "/entryNodes/0"), ({"entryNodes": ["00000000-0000-4000-8000-000000000000"]}, "/entryNodes/0"),
    ({"matchingProperties": None}, "/matchingProperties/properties"), ({"matchingProperties": []}, "/matchingProperties"),
    ({"matchingProperties": {"properties": []}}, "/matchingProperties/properties"),
    ({"matchingProperties": {"properties": ["base.nothing"]}}, "/matchingProperties/properties/0"),
    ({"matchingProperties": {"properties": ["externalId"], "caseSensitive": 1}}, "/matchingProperties/caseSensitive"),
    ({"exclusionFilters": {}}, "/exclusionFilters"), ({"exclusionFilters": [FILTER] * 11}, "/exclusionFilters"),
    ({"exclusionFilters": [FILTER, {**FILTER, "property": "base.nothing"}]}, "/exclusionFilters/1/property"),
    ({"exclusionFilters": [{**FILTER, "value": ""}]}, "/exclusionFilters/0/value"),
    ({"exclusionFilters": [{**FILTER, "pattern": "LIKE"}]}, "/exclusionFilters/0/pattern"),
    ({"state": "ASLEEP"}, "/state"), ({"state": 1}, "/state")], ids=str)
def test_wrong_nodes(space, shop, letter, change, pointer):
    check_error(space.admin.post(PATH, body_of(shop, letter, **change)), 400, pointer=pointer)


def test_what_a_node_is_made_of(space, shop, letter):
    other = make(space, shop, letter)
    check_error(space.admin.post(PATH, body_of(shop, other["id"])), 400, pointer="/entryNodes/1")
    check_error(space.admin.post(PATH, body_of(shop, shop)), 400, pointer="/entryNodes/1")
    check_ok(space.admin.post(PATH, body_of(shop, exclusionFilters=[FILTER] * 10)), 201)
    check_ok(space.admin.put("configuration/properties/extended", {"club": {"type": "string"}}))
    properties = {"properties": ["base.contacts.email", "extended.club"], "caseSensitive": True}
    assert make(space, shop, letter, matchingProperties=properties)["matchingProperties"] == properties


def test_case_is_folded_unless_it_is_asked_for(space, shop, letter):
    made = make(space, shop, letter, matchingProperties={"properties": ["externalId"]})
    assert made["matchingProperties"] == {"properties": ["externalId"], "caseSensitive": False}
    path = f"{PATH}/{make(space, shop, letter, matchingProperties={'properties': ['externalId'], 'caseSensitive': True})['id']}"
    kept = check_ok(space.admin.put(path, {"name": "n", "matchingProperties": {"properties": ["externalId"]}}))
    assert kept["matchingProperties"]["caseSensitive"] is True, "what is not sent stays"


def test_what_cannot_change(space, shop, letter):
    made = make(space, shop, letter)
    path = f"{PATH}/{made['id']}"
    check_error(space.admin.put(path, {**made, "entryNodes": [letter]}), 400, pointer="/entryNodes")
    check_error(space.admin.put(path, {**made, "matchingProperties": {"properties": ["base.contacts.email"]}}), 400,
                pointer="/matchingProperties")
    check_error(space.admin.put(path, {**made, "id": new_id()}), 400, pointer="/id")
    check_error(space.admin.put(path, {"description": "d"}), 400, pointer="/name")
    assert check_ok(space.admin.get(path)) == made


def test_states(space, shop, letter):
    made = make(space, shop, letter)
    path = f"{PATH}/{made['id']}/state"
    check_error(space.admin.put(path, {}), 400, pointer="/state")
    check_error(space.admin.put(path, {"state": "ASLEEP"}), 400, pointer="/state")
    for wrong in ("LOCKED", "REMOVED"):
        check_error(space.admin.put(path, {"state": wrong}), 409)
        check_error(space.admin.put(f"{PATH}/{made['id']}", {**made, "state": wrong}), 409)
        check_error(space.admin.post(PATH, body_of(shop, state=wrong)), 409)
    assert check_ok(space.admin.put(path, {"state": "NEW"})) == {"state": "NEW"}, "what it is already"
    assert check_ok(space.admin.put(path, {"state": "ACTIVE"})) == {"state": "ACTIVE"}
    assert state(space, made["id"]) in ("LOCKED", "ACTIVE")
    check_error(space.admin.put(path, {"state": "NEW"}), 409)
    assert check_ok(space.admin.put(path, {"state": "ACTIVE"})) == {"state": "ACTIVE"}
    other = make(space, shop, letter)
    assert check_ok(space.admin.put(f"{PATH}/{other['id']}", {**other, "state": "ACTIVE"}))["state"] == "ACTIVE"


def test_filters_stay_while_profiles_are_made(space, shop, letter):
    """A build that begins is soon over: one of a few is met while it goes on."""
    for _ in range(20):
        made = make(space, shop, letter)
        path = f"{PATH}/{made['id']}"
        check_ok(space.admin.put(f"{path}/state", {"state": "ACTIVE"}))
        answer = space.admin.put(path, {**made, "state": "ACTIVE", "exclusionFilters": [FILTER]})
        if answer.status == 423:
            break
    check_error(answer, 423)
    assert check_ok(space.admin.put(path, {"name": "renamed"}))["exclusionFilters"] == [], "what profiles do not follow from may change"

    def taken():
        assert check_ok(space.admin.put(path, {"name": "n", "exclusionFilters": [FILTER]}))["exclusionFilters"] == [FILTER]
    eventually(taken, timeout=BUILD_S)


def test_what_was_read_while_profiles_were_made_can_be_put_back_later(space, shop, letter):
    made = make(space, shop, letter)
    path = f"{PATH}/{made['id']}"
    check_ok(space.admin.put(f"{path}/state", {"state": "ACTIVE"}))
    eventually(lambda: state(space, made["id"]) == "ACTIVE", timeout=BUILD_S)
    answer = check_ok(space.admin.put(path, {**made, "state": "LOCKED", "exclusionFilters": [FILTER]}))
    assert answer["exclusionFilters"] == [FILTER] and answer["state"] in ("LOCKED", "ACTIVE")


@pytest.mark.parametrize("node", ["123", "00000000-0000-4000-8000-000000000000"])
def test_unknown_nodes(space, node):
    message = f"node not found {node}"
    check_error(space.admin.get(f"{PATH}/{node}"), 404, message)
    check_error(space.admin.put(f"{PATH}/{node}", {"name": "n"}), 404, message)
    check_error(space.admin.put(f"{PATH}/{node}/state", {"state": "ACTIVE"}), 404, message)


def test_entry_and_aggregate_nodes_are_not_mixed_up(space, shop, letter):
    made = make(space, shop, letter)
    check_error(space.admin.get(f"{PATH}/{shop}"), 404)
    check_error(space.admin.put(f"{PATH}/{shop}/state", {"state": "ACTIVE"}), 404)
    entry = f"configuration/nodes/entries/{made['id']}"
    check_error(space.admin.get(entry), 404)
    check_error(space.admin.post(f"{entry}/empty"), 404)
    check_error(space.admin.put(f"{entry}/unique-customer-matching-policy", {"properties": ["externalId"]}), 404)


def test_a_new_node_is_empty(space, shop, letter):
    client = space.trusted(shop, letter)
    check_ok(client.post("customers", {"nodeId": shop, "externalId": unique()}), 201)
    made = make(space, shop, letter)
    assert check_page(space.admin.get("customers", {"nodeId": made["id"]}), total=0) == []
    assert check_page(space.admin.get("events", {"nodeId": made["id"]}), total=0) == []


def test_bring_back_is_for_entry_nodes(space, shop, letter):
    node = make(space, shop, letter)["id"]
    bring_back = {"type": "SESSION_ID", "value": unique(), "nodeId": node}
    check_error(space.trusted(node).post("events", {**EVENT, "bringBackProperties": bring_back}), 400, pointer="/bringBackProperties/nodeId")
