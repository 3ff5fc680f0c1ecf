"""One profile for the customers of several entry nodes that agree in what they are matched on, and their events."""

import json
import re

import pytest

from aggregates import EVENT, FOLLOW_S, PATH, Aggregate
from client import eventually, new_id, unique
from contract import EVENT_FIELDS, check_customer, check_error, check_ok, check_page, check_status

DERIVED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def aggregate(space):
    return Aggregate(space).ready()


def test_customers_become_a_profile(aggregate):
    external = unique("x")
    one = aggregate.new(aggregate.shop, external, base={"firstName": "Ada", "lastName": "Old", "likes": [{"id": "a"}]})
    two = aggregate.new(aggregate.letter, external, base={"lastName": "New", "likes": [{"id": "b"}]})
    profile = aggregate.of(one, two)
    check_customer(profile)
    assert profile["nodeId"] == aggregate.id and profile["id"] not in (one["id"], two["id"]) and profile["externalId"] == external
    assert profile["base"]["firstName"] == "Ada" and profile["base"]["lastName"] == "New", "the customer that was updated last wins"
    assert {like["id"] for like in profile["base"]["likes"]} == {"a", "b"}, "lists are united"
    assert profile["registeredAt"] == one["registeredAt"] and profile["updatedAt"] == two["updatedAt"]
    assert check_ok(aggregate.client.get(f"customers/{profile['id']}")) == profile
    assert check_page(aggregate.client.get("customers", {"nodeId": aggregate.id, "externalId": external}), total=1) == [profile]
    entries = aggregate.entries(profile["id"])
    assert sorted(entries, key=lambda entry: entry["id"]) == sorted([one, two], key=lambda entry: entry["id"])
    assert aggregate.entries(profile["id"], size=1, page=1) == entries[1:]


def test_changes_follow(aggregate):
    external = unique("x")
    one, two = aggregate.new(aggregate.shop, external), aggregate.new(aggregate.letter, external)
    profile = aggregate.of(one, two)
    check_ok(aggregate.client.patch(f"customers/{one['id']}", {"base": {"firstName": "Grace"}}))

    def merged():
        now = check_ok(aggregate.client.get(f"customers/{profile['id']}"))
        assert now["base"]["firstName"] == "Grace" and now["version"] > profile["version"]
    eventually(merged, timeout=FOLLOW_S)


def email_consent(**leaves):
    return {"marketing": {"automatic": {"email": leaves}}}


def test_the_last_word_of_a_consent_counts(aggregate):
    """Not that of the customer that was changed last in some other way. An objection stands, whoever says what later."""
    external = unique("x")
    one = aggregate.new(aggregate.shop, external, consents=email_consent(status=True))
    two = aggregate.new(aggregate.letter, external, consents=email_consent(status=False))
    profile = aggregate.of(one, two)

    def shows(**expected):
        now = check_ok(aggregate.client.get(f"customers/{profile['id']}"))
        email = now["consents"]["marketing"]["automatic"]["email"]
        assert {**email, "firstName": now["base"]["firstName"]} == {"limitation": None, "objection": None, **expected}
    shows(status=False, firstName=None)
    check_ok(aggregate.client.patch(f"customers/{one['id']}", {"base": {"firstName": "Ada"}}))
    eventually(lambda: shows(status=False, firstName="Ada"), timeout=FOLLOW_S)
    check_ok(aggregate.client.post("customers", {"nodeId": aggregate.shop, "externalId": external, "base": {"firstName": "Grace"}}), 201)
    eventually(lambda: shows(status=False, firstName="Grace"), timeout=FOLLOW_S)
    check_ok(aggregate.client.patch(f"customers/{one['id']}", {"consents": email_consent(status=False, objection=True)}))
    check_ok(aggregate.client.patch(f"customers/{two['id']}", {"consents": email_consent(status=True, objection=False)}))
    eventually(lambda: shows(status=True, objection=True, firstName="Grace"), timeout=FOLLOW_S)


def test_a_customer_leaves_joins_and_is_deleted(aggregate):
    external, other = unique("x"), unique("y")
    one, two = aggregate.new(aggregate.shop, external), aggregate.new(aggregate.letter, external)
    together = aggregate.of(one, two)
    check_ok(aggregate.client.patch(f"customers/{two['id']}", {"externalId": other}))
    assert aggregate.of(one)["id"] == together["id"], "a profile's id follows from what its customers are matched on"
    assert aggregate.of(two)["externalId"] == other
    check_ok(aggregate.client.patch(f"customers/{two['id']}", {"externalId": external}))
    assert aggregate.of(one, two)["id"] == together["id"]
    check_status(aggregate.client.delete(f"customers/{two['id']}"), 200)
    assert aggregate.of(one)["id"] == together["id"]
    check_status(aggregate.client.delete(f"customers/{one['id']}"), 200)
    aggregate.gone(together)


def test_customers_without_the_property_stay_alone(space):
    aggregate = Aggregate(space, matchingProperties={"properties": ["base.contacts.email"], "caseSensitive": False}).ready()
    alone = [aggregate.new(node) for node in (aggregate.shop, aggregate.letter)]
    assert len({aggregate.of(customer)["id"] for customer in alone}) == 2
    mail = f"{unique('Mail')}@example.com"
    folded = [aggregate.new(node, base={"contacts": {"email": address}})
              for node, address in ((aggregate.shop, mail.upper()), (aggregate.letter, mail))]
    aggregate.of(*folded)


def test_case_matters_where_it_is_asked_for(space):
    aggregate = Aggregate(space, matchingProperties={"properties": ["base.contacts.email"], "caseSensitive": True}).ready()
    mail = f"{unique('Mail')}@example.com"
    apart = [aggregate.new(node, base={"contacts": {"email": address}})
             for node, address in ((aggregate.shop, mail.upper()), (aggregate.letter, mail))]
    assert len({aggregate.of(customer)["id"] for customer in apart}) == 2


def test_a_build_takes_what_is_there(space):
    aggregate = Aggregate(space, state="NEW")
    external = unique("x")
    one, two = aggregate.new(aggregate.shop, external), aggregate.new(aggregate.letter, external)
    event = aggregate.post_event(one)
    assert aggregate.profiles() == [] and aggregate.events(0, nodeId=aggregate.id) == []
    check_ok(space.admin.put(f"{PATH}/{aggregate.id}/state", {"state": "ACTIVE"}))
    aggregate.ready()
    profile = aggregate.of(one, two)
    [shown] = aggregate.events(1, nodeId=aggregate.id)
    assert shown["customerId"] == profile["id"] and shown["properties"] == event["properties"]


@pytest.mark.parametrize("pattern, value", [("START_WITH", "test"), ("END_WITH", "bot"), ("CONTAINS", "est-r"), ("EQUALS", "test-robot")])
def test_filters_exclude_profiles_and_their_events(space, pattern, value):
    aggregate = Aggregate(space, exclusionFilters=[{"property": "base.firstName", "value": value, "pattern": pattern}]).ready()
    shown, hidden = aggregate.new(aggregate.shop), aggregate.new(aggregate.shop, base={"firstName": "test-robot"})
    for customer in (hidden, shown):
        aggregate.post_event(customer)
    profile = aggregate.of(shown)
    assert [one["id"] for one in aggregate.profiles()] == [profile["id"]]
    [event] = aggregate.events(1, nodeId=aggregate.id)
    assert event["customerId"] == profile["id"]
    check_ok(aggregate.client.patch(f"customers/{hidden['id']}", {"base": {"firstName": "human"}}))
    aggregate.of(hidden)
    aggregate.events(2, nodeId=aggregate.id)


@pytest.mark.parametrize("path, sent", [("extra", {"extra": "robot"}), ("tags.manual", {"tags": {"manual": ["x", "robot"], "auto": []}})])
def test_filters_know_what_is_no_base_property(space, path, sent):
    aggregate = Aggregate(space, exclusionFilters=[{"property": path, "value": "robot", "pattern": "EQUALS"}]).ready()
    hidden, shown = aggregate.new(aggregate.shop, **sent), aggregate.new(aggregate.shop)
    profile = aggregate.of(shown)
    assert [one["id"] for one in aggregate.profiles()] == [profile["id"]]
    check_ok(aggregate.client.patch(f"customers/{hidden['id']}", {"extra": None, "tags": None}))
    aggregate.of(hidden)


def test_other_filters_build_anew(space):
    aggregate = Aggregate(space).ready()
    one = aggregate.new(aggregate.shop, base={"firstName": "robot"})
    profile = aggregate.of(one)
    path, filters = f"{PATH}/{aggregate.id}", [{"property": "base.firstName", "value": "robot", "pattern": "EQUALS"}]
    check_ok(space.admin.put(path, {"name": "n", "exclusionFilters": filters}))
    aggregate.gone(profile)
    aggregate.ready()
    check_ok(space.admin.put(path, {"name": "n", "exclusionFilters": []}))
    assert aggregate.of(one)["id"] == profile["id"], "a rebuild gives the same id"


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def timeline(space):
    """An aggregate node, a profile of two customers, and their events, the last first."""
    aggregate = Aggregate(space).ready()
    external = unique("x")
    one, two = aggregate.new(aggregate.shop, external), aggregate.new(aggregate.letter, external)
    profile = aggregate.of(one, two)
    events = [aggregate.post_event(customer, date=f"2024-05-0{day}T10:00:00Z", type=kind)
              for customer, day, kind in ((one, 1, "viewedPage"), (two, 2, "loggedIn"), (one, 3, "viewedPage"))]
    return aggregate, profile, events[::-1]


def test_events_of_members_are_duplicates(timeline):
    aggregate, profile, events = timeline
    of_profile = aggregate.events(3, customerId=profile["id"])
    assert of_profile == aggregate.events(3, nodeId=aggregate.id)
    assert of_profile == aggregate.events(3, nodeId=aggregate.id, customerId=profile["id"])
    assert aggregate.events(0, nodeId=aggregate.shop, customerId=profile["id"]) == []
    for shown, event in zip(of_profile, events):
        assert set(shown) == EVENT_FIELDS
        assert shown == {**event, "id": shown["id"], "customerId": profile["id"], "origin": "DUPLICATE"}
        assert event["origin"] == "NATIVE" and shown["id"] != event["id"] and DERIVED.fullmatch(shown["id"])
        assert check_ok(aggregate.client.get(f"events/{shown['id']}")) == shown
    assert of_profile == aggregate.events(3, customerId=profile["id"]), "the ids stay"


def test_an_aggregate_node_shows_no_events_under_an_entry_customer(timeline):
    aggregate, profile, events = timeline
    outside = aggregate.space.trusted(aggregate.id)
    assert check_page(outside.get("events", {"nodeId": aggregate.id, "customerId": profile["id"]}), total=3)
    for client in (outside, aggregate.client):
        check_page(client.get("events", {"nodeId": aggregate.id, "customerId": events[0]["customerId"]}), total=0)


def test_searches_among_duplicates(timeline):
    aggregate, profile, _ = timeline
    everything = aggregate.events(3, customerId=profile["id"])
    for query in ({"nodeId": aggregate.id}, {"customerId": profile["id"]}):
        assert aggregate.events(3, **query, sort="date,asc") == everything[::-1]
        assert aggregate.events(1, **query, type="loggedIn") == everything[1:2]
        assert aggregate.events(0, **query, context="RETAIL") == []
        assert aggregate.events(2, **query, dateFrom="2024-05-02T00:00:00Z") == everything[:2]
        assert check_page(aggregate.client.get("events", {**query, "size": 1, "page": 1}), total=3) == everything[1:2]
    for sort in ("registeredAt", "updatedAt"):
        assert len(aggregate.events(3, customerId=profile["id"], sort=f"{sort},asc")) == 3


def did(kind, **more):
    return json.dumps({"query": {"type": "simple", "did": {"event": {"name": kind}, **more}}})


def test_profiles_did_what_their_members_did(timeline):
    aggregate, profile, events = timeline
    alone = aggregate.of(aggregate.new(aggregate.shop))
    own = check_ok(aggregate.client.post("events", {**EVENT, "type": "loggedOut", "customerId": alone["id"]}), 202)["id"]
    eventually(lambda: check_ok(aggregate.client.get(f"events/{own}")))
    first = {"type": "atomic", "attribute": "date", "operator": "LTE", "value": events[-1]["date"]}
    for query, found in ((did(events[-1]["type"]), profile), (did(events[-1]["type"], timeframe=first), profile), (did("loggedIn"), profile), (did("loggedOut"), alone)):
        assert [one["id"] for one in aggregate.profiles(query=query)] == [found["id"]]
    before = {**first, "operator": "LT"}
    assert aggregate.profiles(query=did(events[-1]["type"], timeframe=before)) == []


def test_neighbours_of_a_duplicate(timeline):
    aggregate, profile, _ = timeline
    last, middle, first = aggregate.events(3, customerId=profile["id"])

    def around(event):
        answer = check_ok(aggregate.client.get(f"events/{event['id']}", {"nav": "CUSTOMER"}))
        return answer["prev"], answer["next"]
    assert around(middle) == (first["id"], last["id"])
    assert around(first) == (None, middle["id"]) and around(last) == (middle["id"], None)


def test_duplicates_are_read_only(timeline):
    aggregate, profile, _ = timeline
    event = aggregate.events(3, customerId=profile["id"])[0]
    check_error(aggregate.client.patch(f"events/{event['id']}", {"properties": {}}), 404)
    check_error(aggregate.client.put(f"events/{event['id']}", {"type": event["type"], "context": "WEB", "properties": {}}), 404)
    check_error(aggregate.client.delete(f"events/{event['id']}"), 404)


def test_events_of_the_profile_itself(timeline):
    aggregate, profile, events = timeline
    posted = check_ok(aggregate.client.post("events", {**EVENT, "customerId": profile["id"], "date": "2024-05-04T10:00:00Z"}), 202)["id"]
    own = eventually(lambda: check_ok(aggregate.client.get(f"events/{posted}")))
    assert own["origin"] == "NATIVE" and own["customerId"] == profile["id"]
    for query in ({"nodeId": aggregate.id}, {"customerId": profile["id"]}):
        assert aggregate.events(4, **query)[0] == own
    assert aggregate.events(3, customerId=profile["id"], dateTo="2024-05-03T23:00:00Z")[0]["origin"] == "DUPLICATE"
    around = check_ok(aggregate.client.get(f"events/{posted}", {"nav": "CUSTOMER"}))
    assert around["prev"] == aggregate.events(4, customerId=profile["id"])[1]["id"] and around["next"] is None
    assert {event["id"] for event in aggregate.events(2, customerId=events[0]["customerId"])} == {events[0]["id"], events[2]["id"]}


def test_events_of_a_hidden_profile_are_hidden(space):
    aggregate = Aggregate(space, exclusionFilters=[{"property": "base.firstName", "value": "x", "pattern": "EQUALS"}]).ready()
    one = aggregate.new(aggregate.shop)
    profile, event = aggregate.of(one), aggregate.post_event(one)
    own = aggregate.post_event(profile)
    shown = aggregate.events(2, nodeId=aggregate.id)
    assert own in shown
    check_ok(aggregate.client.patch(f"customers/{one['id']}", {"base": {"firstName": "x"}}))
    aggregate.gone(profile)
    for query in ({"nodeId": aggregate.id}, {"customerId": profile["id"]}, {"nodeId": aggregate.id, "customerId": profile["id"]}):
        aggregate.events(0, **query)
    for hidden in shown:
        check_error(aggregate.client.get(f"events/{hidden['id']}"), 404)
    assert check_ok(aggregate.client.get(f"events/{event['id']}")) == event
    check_ok(aggregate.client.patch(f"customers/{one['id']}", {"base": {"firstName": "y"}}))
    assert aggregate.of(one)["id"] == profile["id"]
    assert aggregate.events(2, nodeId=aggregate.id) == shown, "what comes back is what was there"
    assert check_ok(aggregate.client.get(f"events/{own['id']}")) == own


def test_deleted_events_vanish(timeline):
    aggregate, profile, events = timeline
    shown = aggregate.events(3, customerId=profile["id"])[0]
    check_status(aggregate.client.delete(f"events/{events[0]['id']}"), 204)
    aggregate.events(2, customerId=profile["id"])
    check_error(aggregate.client.get(f"events/{shown['id']}"), 404)


# --- who may do what --------------------------------------------------------------------------------------------------


def test_profiles_are_not_written(aggregate):
    one = aggregate.new(aggregate.shop)
    profile = aggregate.of(one)
    client, path = aggregate.client, f"customers/{profile['id']}"
    check_error(client.post("customers", {"nodeId": aggregate.id, "externalId": unique()}), 400, pointer="/nodeId")
    check_error(client.patch(path, {"base": {"firstName": "x"}}), 409)
    check_error(client.put(path, {"nodeId": aggregate.id, "externalId": profile["externalId"]}), 409)
    check_error(client.delete(path), 409)
    check_error(client.post(f"{path}/likes", {"id": "a", "category": "c", "name": "n"}), 409)
    check_error(client.post(f"{path}/subscriptions", {"id": "a", "subscribed": True}), 409)
    check_error(client.post(f"{path}/sessions", {"value": unique()}), 409)
    assert check_ok(client.get(path)) == profile


def test_entries_are_of_profiles(aggregate):
    one = aggregate.new(aggregate.shop)
    profile = aggregate.of(one)
    check_error(aggregate.client.get(f"customers/{one['id']}/entries", {"page": 0, "size": 10}), 404)
    path = f"customers/{profile['id']}/entries"
    for query, pointer in (({"size": 1}, "/page"), ({"page": 0}, "/size"), ({"page": -1, "size": 1}, "/page"), ({"page": 0, "size": 0}, "/size")):
        check_error(aggregate.client.get(path, query), 400, pointer=pointer)
    check_error(aggregate.client.get(f"customers/{new_id()}/entries", {"page": 0, "size": 10}), 404)


def test_entries_look_for_the_profile_before_the_page(aggregate):
    one = aggregate.new(aggregate.shop)
    path = f"customers/{aggregate.of(one)['id']}/entries"
    for query in ({}, {"page": -1, "size": 1}):
        check_error(aggregate.client.get(f"customers/{new_id()}/entries", query), 404)
        check_error(aggregate.client.get(f"customers/{one['id']}/entries", query), 404)
        check_error(aggregate.space.trusted(aggregate.shop).get(path, query), 403)
        check_error(aggregate.client.get(path, query), 400, pointer="/page")


def test_entries_are_those_of_nodes_that_the_caller_may_read(aggregate):
    """By its id such a customer is refused: the list of a profile's members must not be the way round."""
    name = unique("x")
    shop, letter = aggregate.new(aggregate.shop, name), aggregate.new(aggregate.letter, name)
    path, page = f"customers/{aggregate.of(shop, letter)['id']}/entries", {"page": 0, "size": 10}
    for nodes, wanted in (((), []), ((aggregate.shop,), [shop]), ((aggregate.letter,), [letter])):
        client = aggregate.space.trusted(aggregate.id, *nodes)
        entries = check_page(client.get(path, page), total=len(wanted))
        assert [entry["id"] for entry in entries] == [customer["id"] for customer in wanted]
        assert check_page(client.get(path, {"page": 1, "size": 1}), total=len(wanted)) == []
    assert len(check_page(aggregate.client.get(path, page), total=2)) == 2


def test_a_source_sees_its_own_nodes(aggregate):
    one = aggregate.new(aggregate.shop)
    profile, event = aggregate.of(one), aggregate.post_event(one)
    [shown] = aggregate.events(1, customerId=profile["id"])
    only_entry, only_aggregate = aggregate.space.trusted(aggregate.shop), aggregate.space.trusted(aggregate.id)
    for path in (f"customers/{profile['id']}", f"customers/{profile['id']}/entries?page=0&size=10"):
        check_status(only_entry.get(path), 403)
        check_ok(only_aggregate.get(path))
    check_error(only_entry.get("events", {"nodeId": aggregate.id}), 403)
    check_error(only_entry.get(f"events/{shown['id']}"), 404)
    check_page(only_entry.get("events", {"customerId": profile["id"]}), total=0)
    assert check_ok(only_aggregate.get(f"events/{shown['id']}")) == shown
    assert check_page(only_aggregate.get("events", {"customerId": profile["id"]}), total=1) == [shown]
    check_error(only_aggregate.get(f"events/{event['id']}"), 403)
    check_page(only_aggregate.get("events", {"customerId": one["id"]}), total=0)
