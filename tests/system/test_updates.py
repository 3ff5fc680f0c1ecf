"""The update stream: every change once, in order, without holes."""

import time

import pytest

from aggregates import Aggregate
from client import eventually, unique
from conftest import make_user
from contract import check_empty, check_error, check_ok


def read_stream(client, offset=0, **parameters):
    """Every entry behind the offset, page by page, and where the stream ends."""
    entries = []
    while True:
        page = check_ok(client.get("updates", {"offset": offset, **parameters}))
        entries += page["updates"]
        if page["nextOffset"] == offset:
            return entries, offset
        offset = page["nextOffset"]


def shown(entries):
    return [(entry["operation"], entry["entity"]["type"], entry["entity"]["data"]["id"]) for entry in entries]


@pytest.fixture(scope="module")
def shop(space):
    node = space.node(["externalId"])
    return space.admin, space.trusted(node), node


def test_each_change_once_and_in_order(shop):
    admin, client, node = shop
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    key = unique()
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": key}), 201)["id"]
    check_ok(client.post("customers", {"nodeId": node, "externalId": key, "extra": "merged"}), 201)
    check_ok(client.patch(f"customers/{made}", {"extra": "patched"}))
    check_ok(client.patch(f"customers/{made}", {"extra": "patched"}))  # changes nothing
    event = check_ok(client.post("events", {"customerId": made, "type": "viewedPage", "context": "WEB", "properties": {}}), 202)["id"]
    eventually(lambda: admin.get(f"events/{event}").status == 200)
    entries, end = read_stream(admin, start, nodeId=node)
    assert shown(entries) == [("CREATE", "CUSTOMER", made), ("UPDATE", "CUSTOMER", made), ("UPDATE", "CUSTOMER", made),
                              ("CREATE", "EVENT", event)]
    # the data is the entity as it is now, also behind the entry of its creation
    assert entries[0]["entity"]["data"] == check_ok(admin.get(f"customers/{made}"))
    assert entries[3]["entity"]["data"] == check_ok(admin.get(f"events/{event}"))
    assert check_ok(admin.get("updates/last-offset", {"nodeId": node}))["lastOffset"] == end
    check_empty(client.delete(f"customers/{made}"))
    entries, _ = read_stream(admin, end, nodeId=node)
    assert sorted(shown(entries)) == sorted([("DELETE", "CUSTOMER", made), ("DELETE", "EVENT", event)])
    assert all(entry["entity"]["data"] == {"id": entry["entity"]["data"]["id"], "nodeId": node} for entry in entries)
    before, _ = read_stream(admin, start, nodeId=node)
    assert before[0]["entity"]["data"] == {"id": made, "nodeId": node}  # gone, whatever the entry told


def test_pages_of_any_size_tell_the_same(shop):
    admin, client, node = shop
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    for number in range(12):
        check_ok(client.post("customers", {"nodeId": node, "externalId": f"{unique()}-{number}"}), 201)
    whole, end = read_stream(admin, start, size=4000, nodeId=node)
    assert len(whole) == 12
    for size in (1, 5, 12):
        assert read_stream(admin, start, size=size, nodeId=node) == (whole, end)
    assert check_ok(admin.get("updates", {"offset": end, "nodeId": node})) == {"updates": [], "nextOffset": end}
    assert check_ok(admin.get("updates", {"offset": start, "size": 0})) == {"updates": [], "nextOffset": start}


def test_filters(shop, space):
    admin, client, node = shop
    other = space.node(["externalId"])
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    event = check_ok(client.post("events", {"customerId": made, "type": "viewedPage", "context": "WEB", "properties": {}}), 202)["id"]
    eventually(lambda: admin.get(f"events/{event}").status == 200)
    assert shown(read_stream(admin, start, nodeId=node, entity="CUSTOMER")[0]) == [("CREATE", "CUSTOMER", made)]
    assert shown(read_stream(admin, start, nodeId=node, entity="EVENT")[0]) == [("CREATE", "EVENT", event)]
    assert read_stream(admin, start, nodeId=other) == ([], start)
    assert check_ok(admin.get("updates/last-offset", {"nodeId": other}))["lastOffset"] == 0


def test_timestamp_finds_the_first_change_at_that_time(shop):
    admin, client, node = shop
    check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)
    time.sleep(0.05)
    now_ms = int(time.time() * 1000)
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    page = check_ok(admin.get("updates", {"timestamp": now_ms, "nodeId": node}))
    assert shown(page["updates"])[0] == ("CREATE", "CUSTOMER", made)
    # with an offset the time is ignored
    page = check_ok(admin.get("updates", {"timestamp": now_ms + 10**9, "offset": 0, "size": 1}))
    assert len(page["updates"]) == 1
    future = check_ok(admin.get("updates", {"timestamp": now_ms + 10**9}))
    assert future["updates"] == [] and future["nextOffset"] == check_ok(admin.get("updates/last-offset"))["lastOffset"]


@pytest.mark.parametrize("parameters, path", [
    ({"size": "4001"}, "/size"), ({"size": "-1"}, "/size"), ({"size": "x"}, "/size"), ({"offset": "-1"}, "/offset"),
    ({"offset": "1e3"}, "/offset"), ({"timestamp": "now"}, "/timestamp"), ({"entity": "customer"}, "/entity"),
])
def test_bad_parameters(shop, parameters, path):
    admin, _, _ = shop
    error = check_error(admin.get("updates", parameters), 400)
    assert [problem["path"] for problem in error["errors"]] == [path]


def test_sources_may_not_read_it(shop):
    _, client, _ = shop
    check_error(client.get("updates"), 403)
    check_error(client.get("updates/last-offset"), 403)


def test_an_anonymous_event_is_bound(shop):
    admin, client, node = shop
    start, session = check_ok(admin.get("updates/last-offset"))["lastOffset"], unique()
    event = check_ok(client.post("events", {"type": "viewedPage", "context": "WEB", "properties": {}, "bringBackProperties": {
        "type": "SESSION_ID", "value": session, "nodeId": node}}), 202)["id"]
    eventually(lambda: check_ok(admin.get(f"events/{event}")))
    [entry], end = read_stream(admin, start, nodeId=node)
    assert (entry["operation"], entry["entity"]["data"]["id"], entry["entity"]["data"]["customerId"]) == ("CREATE", event, None)
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    check_ok(client.post(f"customers/{made}/sessions", {"value": session}), 201)
    entries, _ = read_stream(admin, end, nodeId=node)
    assert ("UPDATE", "EVENT", event) in shown(entries), "binding is a change of the event"
    data = next(entry["entity"]["data"] for entry in entries if entry["entity"]["type"] == "EVENT")
    assert data["customerId"] == made and data["version"] == 1 and data == check_ok(admin.get(f"events/{event}"))


def test_profiles_of_aggregate_nodes_are_in_it_and_their_events_are_not(space):
    aggregate = Aggregate(space).ready()
    admin = space.admin
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    one = aggregate.new(aggregate.shop)
    profile = aggregate.of(one)
    aggregate.post_event(one)
    check_empty(aggregate.client.delete(f"customers/{one['id']}"))
    aggregate.gone(profile)
    entries, _ = read_stream(admin, start, nodeId=aggregate.id)
    assert {kind for _, kind, _ in shown(entries)} == {"CUSTOMER"}, "an event is told once, of its own node"
    assert shown(entries)[0] == ("CREATE", "CUSTOMER", profile["id"]) and shown(entries)[-1] == ("DELETE", "CUSTOMER", profile["id"])
    assert entries[-1]["entity"]["data"] == {"id": profile["id"], "nodeId": aggregate.id}


def test_events_of_a_profile_go_with_it(space):
    """Who reads or lists them does not find them either, until the profile is there again."""
    aggregate = Aggregate(space).ready()
    external = unique("x")
    one = aggregate.new(aggregate.shop, external)
    profile = aggregate.of(one)
    own = aggregate.post_event(profile)

    def told():
        entries, _ = read_stream(space.admin, nodeId=aggregate.id, entity="EVENT")
        [entry] = entries
        return entry["operation"], entry["entity"]["data"]
    assert told() == ("CREATE", own)
    check_empty(aggregate.client.delete(f"customers/{one['id']}"))
    aggregate.gone(profile)
    check_error(space.admin.get(f"events/{own['id']}"), 404)
    assert told() == ("CREATE", {"id": own["id"], "nodeId": aggregate.id})
    assert aggregate.of(aggregate.new(aggregate.shop, external))["id"] == profile["id"]
    assert told() == ("CREATE", own)


def test_an_entry_of_a_deletion_tells_no_more_when_the_entity_is_there_again(space):
    """A profile has the id that it had when its members come back."""
    aggregate = Aggregate(space).ready()
    external = unique("x")
    one = aggregate.new(aggregate.shop, external)
    profile = aggregate.of(one)
    check_empty(aggregate.client.delete(f"customers/{one['id']}"))
    aggregate.gone(profile)
    again = aggregate.of(aggregate.new(aggregate.shop, external))
    assert again["id"] == profile["id"]
    entries, _ = read_stream(space.admin, nodeId=aggregate.id)
    assert [entry["operation"] for entry in entries] == ["CREATE", "DELETE", "CREATE"]
    gone = {"id": profile["id"], "nodeId": aggregate.id}
    assert [entry["entity"]["data"] for entry in entries] == [again, gone, again]


def test_a_page_of_large_entities_ends_early(shop):
    admin, client, node = shop
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    sent = [check_ok(client.post("events", {"customerId": made, "type": "surveyCompiled", "context": "WEB",
                                            "properties": {"text": f"{number:05}" * 13_000}}), 202)["id"] for number in range(150)]
    eventually(lambda: check_ok(admin.get("updates/last-offset", {"nodeId": node}))["lastOffset"] == start + 150)
    first = check_ok(admin.get("updates", {"offset": start, "nodeId": node, "size": 4000}))
    assert 100 < len(first["updates"]) < 150 and first["nextOffset"] > start
    entries, _ = read_stream(admin, start, nodeId=node, size=4000)
    assert sorted(entry["entity"]["data"]["id"] for entry in entries) == sorted(sent), "each once, over the pages"
    assert {len(entry["entity"]["data"]["properties"]["text"]) for entry in entries} == {65_000}


def test_people_see_the_nodes_that_they_may_read(shop, space, users):
    admin, client, node = shop
    hidden = space.node(["externalId"])
    reader = make_user(admin, ["USER"], "--workspace", space.id, "--node", node, "--permission", "R").in_workspace(space.id)
    start = check_ok(admin.get("updates/last-offset"))["lastOffset"]
    made = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    other = check_ok(space.trusted(hidden).post("customers", {"nodeId": hidden, "externalId": unique()}), 201)["id"]
    everything = users["PLATFORM_UPDATES"].in_workspace(space.id)
    assert {id_ for _, _, id_ in shown(read_stream(everything, start)[0])} == {made, other}
    assert shown(read_stream(reader, start)[0]) == [("CREATE", "CUSTOMER", made)]
    assert check_ok(reader.get("updates/last-offset"))["lastOffset"] < check_ok(admin.get("updates/last-offset"))["lastOffset"]
    check_error(reader.get("updates", {"nodeId": hidden}), 403)
    check_error(reader.get("updates/last-offset", {"nodeId": hidden}), 403)
    check_error(admin.get("updates", {"nodeId": "123"}), 404)


def test_bad_parameters_of_the_last_offset(shop):
    admin, _, _ = shop
    error = check_error(admin.get("updates/last-offset", {"entity": "customer"}), 400)
    assert [problem["path"] for problem in error["errors"]] == ["/entity"]


def test_everything_that_is_wrong_is_told_at_once(shop):
    admin, _, _ = shop
    error = check_error(admin.get("updates", {"size": "x", "offset": "y", "timestamp": "z", "entity": "w"}), 400)
    assert [problem["path"] for problem in error["errors"]] == ["/size", "/offset", "/entity"]
