"""Educations, jobs, likes, subscriptions and sessions of a customer."""

import concurrent.futures

import pytest

from client import eventually, new_id, quoted, unique
from contract import check_empty, check_error, check_ok, check_page, stripped

ITEMS = {
    "educations": {"id": "x", "schoolType": "COLLEGE", "schoolName": "n", "schoolConcentration": "c", "startYear": 1990,
                   "endYear": 1995, "isCurrent": False},
    "jobs": {"id": "x", "companyIndustry": "i", "companyName": "n", "jobTitle": "t", "startDate": "2001-02-03", "endDate": None,
             "isCurrent": True},
    "likes": {"id": "x", "category": "c", "name": "n", "createdTime": "2020-01-02T03:04:05.006+0000"},
    "subscriptions": {"id": "x", "name": "n", "type": "t", "kind": "SERVICE", "subscribed": True, "subscriberId": "i",
                      "startDate": "2020-01-02T03:04:05.006+0000", "registeredAt": "2020-01-02T03:04:05.006+0000",
                      "subscribeContext": {"ip": "10.0.0.1", "userAgent": "u"}},
}
TEXT_FIELD = {"educations": "schoolName", "jobs": "companyName", "likes": "name", "subscriptions": "name"}
CREATED = {"educations": 200, "jobs": 200, "likes": 200, "subscriptions": 201}
EVENT = {"type": "viewedPage", "context": "WEB", "properties": {}}
AWKWARD_IDS = ["a b", "a/b", "ünï", "100%", "a?b#c", "a+b", "..", "日本", "x" * 255, "%2F", "\"'<>"]

each = pytest.mark.parametrize("name", ITEMS)


@each
def test_life_of_an_item(people, source, name):
    customer = people.new()
    path = f"customers/{customer['id']}/{name}"
    sent = ITEMS[name]
    made = check_ok(source.post(path, sent), CREATED[name], "with the item")
    assert stripped(made) == stripped(sent), "the answer is the item alone, as it was sent"
    assert check_ok(source.get(f"{path}/x")) == made
    assert [stripped(item) for item in people.get(customer["id"])["base"][name]] == [stripped(sent)], "the customer holds it"
    changed = {**sent, TEXT_FIELD[name]: "other"}
    assert check_ok(source.put(f"{path}/x", changed))[TEXT_FIELD[name]] == "other"
    assert check_ok(source.get(f"{path}/x"))[TEXT_FIELD[name]] == "other"
    check_empty(source.delete(f"{path}/x"))
    check_error(source.get(f"{path}/x"), 404)
    check_error(source.delete(f"{path}/x"), 404)
    after = people.get(customer["id"])
    assert after["base"][name] == [] and after["version"] == 4, "three changes, three versions"


@each
def test_put_takes_the_id_from_the_path(people, source, name):
    customer = people.new()
    path = f"customers/{customer['id']}/{name}"
    check_ok(source.post(path, ITEMS[name]), CREATED[name])
    body = {TEXT_FIELD[name]: "without id", **({"subscribed": True} if name == "subscriptions" else {})}
    assert check_ok(source.put(f"{path}/x", body))["id"] == "x", "the body may lack the id"


@each
def test_an_item_has_an_id_that_can_be_addressed(people, source, name):
    customer = people.new()
    path = f"customers/{customer['id']}"
    sent = {"nodeId": customer["nodeId"], "base": {"contacts": customer["base"]["contacts"], name: [{"id": ""}]}}
    pointer = f"/base/{name}/0/id"
    check_error(source.post("customers", sent), 400, pointer=pointer)
    check_error(source.patch(path, {"base": {name: [{"id": ""}]}}), 400, pointer=pointer)
    check_error(source.put(path, sent), 400, pointer=pointer)
    check_error(source.post(f"{path}/{name}", {**ITEMS[name], "id": ""}), 400, pointer="/id")
    assert people.get(customer["id"]) == customer


def nested(depth):
    """A value with that many objects in each other."""
    value = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def test_an_item_as_deep_as_a_body_leaves_its_customer_readable(people, source):
    customer = people.new()
    path = f"customers/{customer['id']}"
    deepest = 32 - 2 - 3  # a body's levels; the item's own, and those of the customer around it
    sent = {**ITEMS["subscriptions"], "preferences": [nested(deepest)]}
    check_ok(source.post(f"{path}/subscriptions", sent), 201)
    assert people.get(customer["id"])["base"]["subscriptions"][0]["preferences"] == sent["preferences"]
    for depth in (deepest + 1, 30):
        fault = check_error(source.post(f"{path}/subscriptions", {**sent, "id": "y", "preferences": [nested(depth)]}), 400)
        assert [error["message"] for error in fault["errors"]] == ["nesting that is too deep"]
        check_error(source.put(f"{path}/subscriptions/x", {**sent, "preferences": [nested(depth)]}), 400)
    read = people.get(customer["id"])
    assert [item["id"] for item in read["base"]["subscriptions"]] == ["x"]
    check_ok(source.put(path, read))
    check_page(source.get("customers", {"nodeId": customer["nodeId"]}))


@each
def test_items_keep_their_order(people, source, name):
    customer = people.new()
    path = f"customers/{customer['id']}/{name}"
    for letter in "cab":
        check_ok(source.post(path, {**ITEMS[name], "id": letter}), CREATED[name])
    check_ok(source.put(f"{path}/a", {**ITEMS[name], "id": "a", TEXT_FIELD[name]: "new"}))
    assert [item["id"] for item in people.get(customer["id"])["base"][name]] == ["c", "a", "b"]
    check_empty(source.delete(f"{path}/c"))
    assert [item["id"] for item in people.get(customer["id"])["base"][name]] == ["a", "b"]


@each
def test_bad_items(people, source, name):
    customer = people.new()
    path = f"customers/{customer['id']}/{name}"
    without_id = {key: value for key, value in ITEMS[name].items() if key != "id"}
    check_error(source.post(path, without_id), 400, pointer="/id")
    check_error(source.post(path, {**ITEMS[name], "nothing": 1}), 400, pointer="/nothing")
    check_error(source.post(path, {**ITEMS[name], TEXT_FIELD[name]: 5}), 400, pointer=f"/{TEXT_FIELD[name]}")
    check_error(source.post(path, {**ITEMS[name], "id": ""}), 400, pointer="/id")
    check_error(source.post(path, {**ITEMS[name], "id": 7}), 400, pointer="/id")
    check_error(source.put(f"{path}/absent", ITEMS[name]), 404)
    check_error(source.get(f"{path}/absent"), 404)
    assert people.get(customer["id"]) == customer


@pytest.mark.parametrize("identifier", AWKWARD_IDS, ids=range(len(AWKWARD_IDS)))
def test_subscription_ids_travel_percent_encoded(people, source, identifier):
    customer = people.new()
    path = f"customers/{customer['id']}/subscriptions"
    check_ok(source.post(path, {"id": identifier, "subscribed": True}), 201)
    one = f"{path}/{quoted(identifier).replace('..', '%2E%2E')}"
    assert check_ok(source.get(one))["id"] == identifier
    check_ok(source.put(one, {"id": identifier, "subscribed": False}))
    check_empty(source.delete(one))


@pytest.mark.parametrize("body, pointer", [
    ({"id": "x"}, "/subscribed"), ({"id": "x", "subscribed": None}, "/subscribed"), ({"id": "x", "subscribed": "yes"}, "/subscribed"),
    ({"id": "x" * 256, "subscribed": True}, "/id"), ({"id": "a\nb", "subscribed": True}, "/id"), ({"id": "", "subscribed": True}, "/id"),
    ({"id": "x", "subscribed": True, "kind": "OTHERS"}, "/kind"), ({"id": "x", "subscribed": True, "name": "n" * 256}, "/name"),
    ({"id": "x", "subscribed": True, "startDate": "soon"}, "/startDate"),
    ({"id": "x", "subscribed": True, "subscribeContext": {"port": 1}}, "/subscribeContext/port")], ids=str)
def test_bad_subscriptions(people, source, body, pointer):
    customer = people.new()
    check_error(source.post(f"customers/{customer['id']}/subscriptions", body), 400, pointer=pointer)


def test_subscription_without_times_gets_none(people, source):
    customer = people.new()
    made = check_ok(source.post(f"customers/{customer['id']}/subscriptions", {"id": "x", "subscribed": True}), 201)
    assert made.get("registeredAt") is None and made.get("updatedAt") is None, "times inside a subscription are never invented"


# --- sessions --------------------------------------------------------------------------------------------------------------------------


def bring_back(node, value, kind="SESSION_ID"):
    return {**EVENT, "bringBackProperties": {"type": kind, "value": value, "nodeId": node}}


def post_event(client, body):
    return check_ok(client.post("events", body), 202)["id"]


def owner_of(client, event):
    answer = client.get(f"events/{event}")
    return check_ok(answer)["customerId"]


def test_life_of_a_session(people, source):
    customer = people.new()
    path = f"customers/{customer['id']}/sessions"
    values = [unique("session") for _ in range(3)]
    made = [check_ok(source.post(path, {"value": value}), 201) for value in values]
    assert all(set(session) == {"id", "value"} for session in made) and [session["value"] for session in made] == values
    assert check_ok(source.get(path)) == {"elements": made}, "the list has elements alone, in order of insertion"
    assert check_ok(source.get(f"{path}/{made[1]['id']}")) == made[1]
    check_empty(source.delete(f"{path}/{made[1]['id']}"))
    check_error(source.get(f"{path}/{made[1]['id']}"), 404)
    check_error(source.delete(f"{path}/{made[1]['id']}"), 404)
    assert check_ok(source.get(path))["elements"] == [made[0], made[2]]


def test_no_sessions_is_an_empty_list(people, source):
    assert check_ok(source.get(f"customers/{people.new()['id']}/sessions")) == {"elements": []}


@pytest.mark.parametrize("body", [{}, {"value": ""}, {"value": None}, {"value": 5}, {"value": "x" * 256}, {"value": ["x"]}], ids=str)
def test_bad_sessions(people, source, body):
    customer = people.new()
    check_error(source.post(f"customers/{customer['id']}/sessions", body), 400, pointer="/value")


@pytest.mark.parametrize("session", ["123", "not-existing", "00000000-0000-4000-8000-000000000000"])
def test_unknown_session_is_404(people, source, session):
    path = f"customers/{people.new()['id']}/sessions/{session}"
    check_error(source.get(path), 404)
    check_error(source.delete(path), 404)


def test_a_session_is_seen_through_its_own_customer_only(people, source):
    one, two = people.new(), people.new()
    session = check_ok(source.post(f"customers/{one['id']}/sessions", {"value": unique()}), 201)
    check_error(source.get(f"customers/{two['id']}/sessions/{session['id']}"), 404)
    check_error(source.delete(f"customers/{two['id']}/sessions/{session['id']}"), 404)


def test_a_value_bound_to_another_customer_is_409(people, source):
    one, two = people.new(), people.new()
    value = unique("session")
    first = check_ok(source.post(f"customers/{one['id']}/sessions", {"value": value}), 201)
    check_error(source.post(f"customers/{two['id']}/sessions", {"value": value}), 409)
    check_error(source.patch(f"customers/{two['id']}", {"extra": "x"}, {"sessionId": value}), 409)
    assert check_ok(source.get(f"customers/{two['id']}/sessions")) == {"elements": []}, "nothing changes"
    assert people.get(two["id"]) == two, "nothing changes"
    assert check_ok(source.get(f"customers/{one['id']}/sessions")) == {"elements": [first]}


def test_the_same_value_in_two_nodes(space):
    one, two = space.node(), space.node()
    client = space.trusted(one, two)
    value, address = unique("session"), {"base": {"contacts": {"email": "s@example.com"}}}
    customers = [check_ok(client.post("customers", {"nodeId": node, **address}), 201) for node in (one, two)]
    for customer in customers:
        check_ok(client.post(f"customers/{customer['id']}/sessions", {"value": value}), 201)
    events = [post_event(client, bring_back(node, value)) for node in (one, two)]
    for event, customer in zip(events, customers):
        eventually(lambda: owner_of(client, event) == customer["id"])


def test_session_id_on_post_patch_and_put(people, source, node):
    values = [unique("session") for _ in range(3)]
    customer = people.new(query={"sessionId": values[0]})
    path = f"customers/{customer['id']}"
    check_ok(source.patch(path, {"extra": "x"}, {"sessionId": values[1]}))
    check_ok(source.put(path, {"nodeId": node, "base": {"contacts": customer["base"]["contacts"]}}, {"sessionId": values[2]}))
    assert [session["value"] for session in check_ok(source.get(f"{path}/sessions"))["elements"]] == values
    check_error(source.patch(path, {"extra": "y"}, {"sessionId": "x" * 256}), 400, pointer="/sessionId")
    check_ok(source.patch(path, {"extra": "y"}, {"sessionId": "ü" * 255}))


def test_events_wait_for_their_session(people, source, node):
    customer, value = people.new(), unique("session")
    early = [post_event(source, bring_back(node, value)) for _ in range(3)]
    for event in early:
        eventually(lambda: owner_of(source, event) is None)
    check_ok(source.post(f"customers/{customer['id']}/sessions", {"value": value}), 201)
    late = post_event(source, bring_back(node, value))
    for event in [*early, late]:
        eventually(lambda: owner_of(source, event) == customer["id"])
    found = eventually(lambda: check_page(source.get("events", {"customerId": customer["id"]}), total=4))
    assert {event["id"] for event in found} == {*early, late}
    stored = check_ok(source.get(f"events/{early[0]}"))
    assert stored["bringBackProperties"] == {"type": "SESSION_ID", "value": value, "nodeId": node}, "it stays on the event"


def test_session_id_on_creation_binds_waiting_events(people, source, node):
    value = unique("session")
    early = post_event(source, bring_back(node, value))
    eventually(lambda: check_ok(source.get(f"events/{early}")))
    customer = people.new(query={"sessionId": value})
    eventually(lambda: owner_of(source, early) == customer["id"])


def test_after_a_session_ends_the_value_is_free(people, source, node):
    one, two, value = people.new(), people.new(), unique("session")
    session = check_ok(source.post(f"customers/{one['id']}/sessions", {"value": value}), 201)
    first = post_event(source, bring_back(node, value))
    eventually(lambda: owner_of(source, first) == one["id"])
    check_empty(source.delete(f"customers/{one['id']}/sessions/{session['id']}"))
    between = post_event(source, bring_back(node, value))
    eventually(lambda: owner_of(source, between) is None)
    check_ok(source.post(f"customers/{two['id']}/sessions", {"value": value}), 201)
    eventually(lambda: owner_of(source, between) == two["id"])
    assert owner_of(source, first) == one["id"], "what was bound stays bound"


# --- external ids ------------------------------------------------------------------------------------------------------------------------


def test_external_id_of_a_customer(people, source, node):
    customer = people.new({"externalId": unique("Ext")})
    event = post_event(source, bring_back(node, customer["externalId"], "EXTERNAL_ID"))
    eventually(lambda: owner_of(source, event) == customer["id"])
    stored = check_ok(source.get(f"events/{event}"))
    assert stored["bringBackProperties"]["type"] == "EXTERNAL_ID"


def test_unknown_external_id_creates_a_customer(people, source, node):
    value = unique("Ext")
    event = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    again = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    [customer] = eventually(lambda: check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=1))
    assert stripped(customer["base"]) == {} and customer["extra"] is None and customer["tags"] is None, \
        "the new customer holds the external id alone"
    for one in (event, again):
        eventually(lambda: owner_of(source, one) == customer["id"])
    assert check_ok(source.patch(f"customers/{customer['id']}", {"extra": "x"}))["version"] == 2, "it can be patched"


def test_unknown_external_id_where_it_is_the_unique_key(trusted, shared_node):
    value = unique("Ext")
    event = post_event(trusted, bring_back(shared_node, value, "EXTERNAL_ID"))
    customer = check_ok(trusted.post("customers", {"nodeId": shared_node, "externalId": value, "extra": "x"}), 201)
    eventually(lambda: owner_of(trusted, event) == customer["id"])
    check_page(trusted.get("customers", {"nodeId": shared_node, "externalId": value}), total=1)


def test_of_several_customers_the_earliest_bound_gets_the_event(people, source, node):
    value = unique("Ext")
    first, _ = people.new({"externalId": value}), people.new({"externalId": value})
    event = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    eventually(lambda: owner_of(source, event) == first["id"])


def test_a_deleted_external_id_creates_another_customer(people, source, node):
    value = unique("Ext")
    first = people.new({"externalId": value})
    event = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    eventually(lambda: owner_of(source, event) == first["id"])
    check_empty(source.delete(f"customers/{first['id']}"))
    again = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    [second] = eventually(lambda: check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=1))
    assert second["id"] != first["id"]
    eventually(lambda: owner_of(source, again) == second["id"])


def test_an_external_id_that_was_given_up_creates_another_customer(people, source, node):
    value = unique("Ext")
    first = people.new({"externalId": value})
    event = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    check_ok(source.patch(f"customers/{first['id']}", {"externalId": unique("Ext")}))
    again = post_event(source, bring_back(node, value, "EXTERNAL_ID"))
    [second] = eventually(lambda: check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=1))
    eventually(lambda: owner_of(source, event) == first["id"])
    eventually(lambda: owner_of(source, again) == second["id"])


def test_events_and_their_session_at_the_same_time(people, source, node):
    """Whichever arrives first, in the end every event belongs to the customer of its session."""
    customers, values = [people.new() for _ in range(4)], [unique("session") for _ in range(4)]

    def send(index):
        customer, value = customers[index % 4], values[index % 4]
        if index // 4 == 5:
            check_ok(source.post(f"customers/{customer['id']}/sessions", {"value": value}), 201)
            return None
        return index % 4, post_event(source, bring_back(node, value))
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        sent = [result for result in pool.map(send, range(48)) if result]
    for index, event in sent:
        eventually(lambda: owner_of(source, event) == customers[index]["id"])


def test_many_events_of_one_unknown_external_id_make_one_customer(source, node):
    value = unique("Ext")
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        events = list(pool.map(lambda _: post_event(source, bring_back(node, value, "EXTERNAL_ID")), range(24)))
    [customer] = eventually(lambda: check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=1))
    for event in events:
        eventually(lambda: owner_of(source, event) == customer["id"])
    check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=1)


@pytest.mark.parametrize("change", [{"type": "externalId"}, {"type": "COOKIE"}, {"type": 5}, {"value": ""}, {"value": None}, {"value": 5},
                                    {"nodeId": None}, {"extra": 1}], ids=str)
def test_bad_bring_back(source, node, change):
    body = bring_back(node, "x")
    body["bringBackProperties"] = {**body["bringBackProperties"], **change}
    check_error(source.post("events", body), 400)


@pytest.mark.parametrize("missing", ["value", "nodeId"])
def test_incomplete_bring_back(source, node, missing):
    body = bring_back(node, "x")
    del body["bringBackProperties"][missing]
    check_error(source.post("events", body), 400, pointer=f"/bringBackProperties/{missing}")


def test_customer_id_and_bring_back_exclude_each_other(people, source, node):
    customer = people.new()
    check_error(source.post("events", {**bring_back(node, "x"), "customerId": customer["id"]}), 400)
    check_error(source.post("events", EVENT), 400)
    check_ok(source.post("events", {**EVENT, "customerId": customer["id"], "bringBackProperties": None}), 202)
    check_error(source.post("events", {**EVENT, "customerId": new_id()}), 404)
    check_error(source.post("events", {**EVENT, "customerId": "123"}), 404)
