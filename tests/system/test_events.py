"""Events: every type and context, dates, shape, search, change, removal."""

import datetime
import json

import pytest

from client import eventually, new_id, unique
from contract import (ACTIVE_TYPES, CONTEXTS, EVENT_FIELDS, EVENT_TYPES, MINIMAL_PROPERTIES, OPEN_TYPES, PASSIVE_TYPES,
                      check_date_time, check_empty, check_error, check_ok, check_page, check_status, instant)

ALL_CONTEXT_KEYS = {
    "client": {"userAgent": "Mozilla/5.0", "ip": "203.0.113.9", "localization": {
        "city": "Rome", "country": "IT", "region": "Lazio", "province": "RM", "zip": "00100", "geo": {"lat": 41.9, "lon": 12.5}}},
    "user": {"id": "u1", "externalId": "e", "username": "n", "firstName": "F", "lastName": "L",
             "contacts": {"email": "u@example.com", "mobilePhone": "1", "phone": "2"}},
}
STORE = {"id": "s", "name": "n", "type": "FLAGSHIP", "street": "s", "city": "c", "country": "IT", "province": "p", "region": "r",
         "zip": "z", "geo": {"lat": 1.5, "lon": 2.5}, "website": "https://shop.example"}
OWN_KEYS = {
    "ECOMMERCE": {"store": STORE},
    "RETAIL": {"store": STORE, "salesAssistant": {"id": "a", "firstName": "F", "lastName": "L",
                                                  "contacts": {"email": "a@example.com", "mobilePhone": "1", "phone": "2"}}},
    "MOBILE": {"device": {"bundleIdentifier": "b", "versionNumber": "1", "buildNumber": "2", "identifierForVendor": "i",
                          "systemVersion": "s", "model": "m", "deviceVendor": "v", "locale": "it_IT", "language": "it"}},
}
LINE = {"orderLineId": 1, "type": "sale", "id": "p1", "sku": "s1", "name": "Shirt", "vendor": None, "price": 19.99, "quantity": 2,
        "subtotal": 39.98, "discount": 0.0, "tax": 7.21, "coupon": "X", "category": ["men", "shirts"],
        "classifications": [{"key": "colour", "value": "red"}], "shortDescription": "d", "linkUrl": "https://shop.example/p1",
        "imageUrl": "https://shop.example/p1.png", "weight": 0.25, "itemQuantity": None, "unitOfMeasure": "pc"}
RICH = {
    "completedOrder": {"orderId": "o1", "type": "sale", "storeCode": "s", "paymentMethod": "creditcard", "shippingMethod": "m",
                       "amount": {"total": 47.19, "revenue": 39.98, "shipping": 0, "tax": 7.21, "discount": 0,
                                  "local": {"currency": "EUR", "exchangeRate": 1}}, "products": [LINE],
                       "extraProperties": {"free": {"form": [1, None, "x"]}}},
    "abandonedCart": {"orderId": "o", "abandonedCartUrl": "https://shop.example/cart", "storeCode": "s", "amount": {"total": 1e2},
                      "products": [{"id": "p"}]},
    "viewedPage": {"url": "https://shop.example/a?b=c#d", "path": "/a", "search": "?b=c", "title": "Ü 日本 😀", "referer": "r",
                   "pageCategories": ["a"], "pageTags": ["b", "c"]},
    "campaignSent": {"subscriberId": "s", "campaignId": "c", "campaignName": "n", "campaignSubject": "s", "campaignTags": ["t"],
                     "channel": "EMAIL", "listId": "l", "listName": "n", "mailDomain": "d", "recipient": "r", "userdbId": 12,
                     "sendImmediateId": "i", "channelType": "t",
                     "contents": [{"type": "IMG", "subType": "s", "name": "n", "url": "https://shop.example", "price": 1.5, "currency": "EUR",
                                   "tags": ["x"], "products": [{"id": "p", "anything": "goes"}]}]},
    "surveyCompiled": {"surveyId": "s", "score": 7.5, "data": {"q1": "a"}, "own": {"deep": [1]}},
    "grantedCoupon": {"code": "c", "totalAmount": 5.55, "startValidityDate": "2024-01-01T00:00:00Z", "deliveryChannel": {"id": "d"}},
}
WRONG = [
    ("viewedPage", {"nothing": 1}, "/properties/nothing"), ("viewedPage", {"title": 5}, "/properties/title"),
    ("viewedPage", {"pageTags": "x"}, "/properties/pageTags"), ("viewedPage", {"pageTags": ["a", 1]}, "/properties/pageTags/1"),
    ("viewedPage", {"extraProperties": []}, "/properties/extraProperties"),
    ("viewedPage", {"extended": {"undeclared": 1}}, "/properties/extended/undeclared"),
    ("completedOrder", {"type": "gift"}, "/properties/type"), ("completedOrder", {"amount": {"total": "1"}}, "/properties/amount/total"),
    ("completedOrder", {"amount": {"nothing": 1}}, "/properties/amount/nothing"),
    ("completedOrder", {"amount": {"local": {"currency": "XXX"}}}, "/properties/amount/local/currency"),
    ("completedOrder", {"products": {}}, "/properties/products"),
    ("completedOrder", {"products": [{}, {"price": "1"}]}, "/properties/products/1/price"),
    ("completedOrder", {"products": [{"nothing": 1}]}, "/properties/products/0/nothing"),
    ("addedReward", {"rewardTypeId": "x"}, "/properties/rewardAmount"),
    ("addedReward", {"rewardTypeId": "x", "rewardAmount": -1}, "/properties/rewardAmount"),
    ("grantedCoupon", {"totalAmount": 1, "startValidityDate": "soon"}, "/properties/startValidityDate"),
    ("campaignSent", {"userdbId": 1.5}, "/properties/userdbId"), ("campaignSent", {"contents": [{}]}, "/properties/contents/0/type"),
    ("eventNotInvited", {"nothing": 1}, "/properties/nothing"),
]


@pytest.fixture(scope="module")
def someone(people):
    """A customer for events that nobody counts."""
    return people.new()["id"]


def event(customer, kind="viewedPage", **more):
    return {"customerId": customer, "type": kind, "context": "WEB", "properties": MINIMAL_PROPERTIES.get(kind, {}), **more}


def event_of(kind, value, node):
    body = {key: member for key, member in event(None).items() if key != "customerId"}
    return {**body, "bringBackProperties": {"type": kind, "value": value, "nodeId": node}}


def post(client, body, **more):
    made = check_ok(client.post("events", body, **more), 202)
    assert set(made) == {"id"}, f"POST events answers 202 with the id: {made}"
    return made["id"]


def stored(client, identifier):
    """The event once it is in the tables; the answer to POST comes before."""
    return eventually(lambda: check_ok(client.get(f"events/{identifier}")))


# --- types and contexts ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_of_each(people, source):
    """Type -> event, one of every type, of one customer."""
    customer = people.new()["id"]
    made = {kind: post(source, event(customer, kind)) for kind in EVENT_TYPES}
    return customer, {kind: stored(source, identifier) for kind, identifier in made.items()}


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_type_accepts_a_minimal_body(one_of_each, kind):
    customer, events = one_of_each
    found = events[kind]
    assert (found["type"], found["customerId"], found["context"]) == (kind, customer, "WEB")
    assert found["properties"] == MINIMAL_PROPERTIES.get(kind, {}), "properties are as they were sent"


@pytest.mark.parametrize("kind", sorted(set(EVENT_TYPES) - OPEN_TYPES))
def test_every_type_refuses_an_unknown_property(source, someone, kind):
    properties = {**MINIMAL_PROPERTIES.get(kind, {}), "noSuchProperty": 1}
    check_error(source.post("events", event(someone, kind, properties=properties)), 400, pointer="/properties/noSuchProperty")


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_type_takes_extra_properties(source, someone, kind):
    properties = {**MINIMAL_PROPERTIES.get(kind, {}), "extraProperties": {"own": {"deep": [1, "x", None]}}}
    post(source, event(someone, kind, properties=properties))


@pytest.mark.parametrize("kind, required", [(kind, name) for kind, body in MINIMAL_PROPERTIES.items() for name in body])
def test_required_properties(source, someone, kind, required):
    properties = {name: value for name, value in MINIMAL_PROPERTIES[kind].items() if name != required}
    check_error(source.post("events", event(someone, kind, properties=properties)), 400, pointer=f"/properties/{required}")


@pytest.mark.parametrize("kind", RICH)
def test_rich_properties_come_back_as_sent(source, someone, kind):
    identifier = post(source, event(someone, kind, properties=RICH[kind]))
    found = stored(source, identifier)["properties"]
    dates = {"startValidityDate"}
    assert {name: value for name, value in found.items() if name not in dates} == \
        {name: value for name, value in RICH[kind].items() if name not in dates}
    for name in dates & set(RICH[kind]):
        assert instant(found[name]) == instant(RICH[kind][name])


@pytest.mark.parametrize("kind, properties, pointer", WRONG, ids=lambda value: str(value)[:50])
def test_wrong_properties_point_to_the_fault(source, someone, kind, properties, pointer):
    check_error(source.post("events", event(someone, kind, properties=properties)), 400, pointer=pointer)


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_context(source, someone, context):
    info = {**ALL_CONTEXT_KEYS, **OWN_KEYS.get(context, {})}
    found = stored(source, post(source, event(someone, context=context, contextInfo=info)))
    assert found["context"] == context and found["contextInfo"] == info, "contextInfo comes back as it was sent"
    check_error(source.post("events", event(someone, context=context, contextInfo={"nothing": 1})), 400, pointer="/contextInfo/nothing")
    for other, keys in OWN_KEYS.items():
        for name in keys:
            if name not in OWN_KEYS.get(context, {}):
                check_error(source.post("events", event(someone, context=context, contextInfo={name: keys[name]})), 400,
                            pointer=f"/contextInfo/{name}")


@pytest.mark.parametrize("info, pointer", [
    ({"client": {"ip": "not-an-ip"}}, "/contextInfo/client/ip"), ({"client": {"nothing": 1}}, "/contextInfo/client/nothing"),
    ({"client": {"localization": {"geo": {"lat": 91}}}}, "/contextInfo/client/localization/geo/lat"),
    ({"user": {"firstName": "no id"}}, "/contextInfo/user/id"), ({"user": 5}, "/contextInfo/user"), ([1], "/contextInfo")], ids=str)
def test_wrong_context_info(source, someone, info, pointer):
    check_error(source.post("events", event(someone, contextInfo=info)), 400, pointer=pointer)


def test_client_is_filled_in_only_when_absent(source, someone):
    headers = {"User-Agent": "test-agent/1.0"}
    for info in ({}, {"user": {"id": "u"}}):
        found = stored(source, post(source, event(someone, contextInfo=info), headers=headers))["contextInfo"]
        assert found["client"] == {"ip": "127.0.0.1", "userAgent": "test-agent/1.0"}, "ip and userAgent come from the request"
        assert {name: value for name, value in found.items() if name != "client"} == info
    body = event(someone)
    assert stored(source, post(source, body, headers=headers))["contextInfo"]["client"]["userAgent"] == "test-agent/1.0"
    sent = {"client": {"ip": "203.0.113.9"}}
    found = stored(source, post(source, event(someone, contextInfo=sent), headers=headers))["contextInfo"]
    assert found["client"]["ip"] == "203.0.113.9", "what was sent is returned as it is"


@pytest.mark.parametrize("tracking", [None, {}, {"ga": {}}, {"ga": {"utm_source": "a", "utm_medium": "b", "utm_term": "c", "utm_content": "d",
                                                                  "utm_campaign": "e"}}], ids=str)
def test_tracking(source, someone, tracking):
    found = stored(source, post(source, event(someone, tracking=tracking)))["tracking"]
    assert found == tracking or (not tracking and not found)


@pytest.mark.parametrize("tracking", [{"ga": {"utm_colour": "x"}}, {"piwik": {}}, {"ga": {"utm_source": 5}}, 5], ids=str)
def test_wrong_tracking(source, someone, tracking):
    check_error(source.post("events", event(someone, tracking=tracking)), 400)


# --- envelope --------------------------------------------------------------------------------------------------------------------------------


def test_shape(source, someone):
    found = stored(source, post(source, event(someone)))
    assert EVENT_FIELDS <= set(found), f"an event has these fields; missing {EVENT_FIELDS - set(found)}"
    assert found["origin"] == "NATIVE" and found["bringBackProperties"] is None and type(found["version"]) is int
    check_date_time(found["date"], "date")
    check_date_time(found["registeredAt"], "registeredAt")
    if found["updatedAt"] is not None:
        check_date_time(found["updatedAt"], "updatedAt")


@pytest.mark.parametrize("change, pointer", [
    ({"type": "unknownType"}, "/type"), ({"type": 5}, "/type"), ({"type": None}, "/type"), ({"context": "SPACE"}, "/context"),
    ({"context": None}, "/context"), ({"context": "web"}, "/context"), ({"date": "yesterday"}, "/date"), ({"date": 5}, "/date"),
    ({"properties": "x"}, "/properties"), ({"properties": [1]}, "/properties"), ({"nothing": 1}, "/nothing"), ({"customerId": 5}, "/customerId")],
    ids=str)
def test_wrong_envelope(source, someone, change, pointer):
    check_error(source.post("events", {**event(someone), **change}), 400, pointer=pointer)


@pytest.mark.parametrize("missing", ["type", "context"])
def test_missing_envelope(source, someone, missing):
    body = event(someone)
    del body[missing]
    check_error(source.post("events", body), 400, pointer=f"/{missing}")


@pytest.mark.parametrize("properties", ["absent", {}, []], ids=str)
def test_properties_may_be_missing_or_an_empty_list(source, someone, properties):
    body = event(someone, "loggedIn", properties=properties)
    if properties == "absent":
        del body["properties"]
    found = stored(source, post(source, body))
    assert found["properties"] in ({}, None, []), "nothing is invented"


DATES = [
    ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05.000+0000"), ("2020-01-02T03:04:05.6Z", "2020-01-02T03:04:05.600+0000"),
    ("2020-01-02T03:04:05.67Z", "2020-01-02T03:04:05.670+0000"), ("2020-01-02T03:04:05.678Z", "2020-01-02T03:04:05.678+0000"),
    ("2020-01-02T03:04:05+0000", "2020-01-02T03:04:05.000+0000"), ("2020-01-02T03:04:05.678+0000", "2020-01-02T03:04:05.678+0000"),
    ("2020-01-02T03:04:05+02:00", "2020-01-02T01:04:05.000+0000"), ("2020-01-02T03:04:05+0200", "2020-01-02T01:04:05.000+0000"),
    ("2020-01-02T03:04:05+02", "2020-01-02T01:04:05.000+0000"), ("2020-01-02T03:04:05.5-05:30", "2020-01-02T08:34:05.500+0000"),
    ("2020-01-02T00:30:00.000+01", "2020-01-01T23:30:00.000+0000"), ("2020-01-02", "2020-01-02T00:00:00.000+0000"),
    ("2020-02-29T23:59:59.999Z", "2020-02-29T23:59:59.999+0000"), ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000+0000"),
    ("1955-11-05T06:00:00Z", "1955-11-05T06:00:00.000+0000"), ("2099-12-31T23:59:59+00:00", "2099-12-31T23:59:59.000+0000"),
]
BAD_DATES = ["2020-13-01T00:00:00Z", "2021-02-29", "2020-01-02T24:01:00Z", "2020-01-02T03:60:00Z", "2020-01-02 ", "20200102", "now", "",
             "2020-01-02T03:04:05+25:00", "2020-01-02T03:04:05.Z", "99999-01-01T00:00:00Z", "2020-1-2", "2020-01-02T03:04:05Zz", "T03:04:05Z",
             "-2020-01-01T00:00:00Z", "２０２０-01-01", "2020-01-02T03:04:05\u0000Z"]


@pytest.mark.parametrize("written, returned", DATES)
def test_date_forms(source, someone, written, returned):
    found = stored(source, post(source, event(someone, date=written)))
    assert found["date"] == returned, f"{written} is {returned}"


@pytest.mark.parametrize("written", BAD_DATES)
def test_bad_dates(source, someone, written):
    check_error(source.post("events", event(someone, date=written)), 400)


def test_absent_date_is_now(source, someone):
    found = stored(source, post(source, event(someone)))
    age = datetime.datetime.now(datetime.timezone.utc) - instant(found["date"])
    assert abs(age.total_seconds()) < 30, "an event without date happened now"


# --- search -------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(people, source):
    """(customer, ids by name) of a customer with a small history."""
    customer = people.new()["id"]
    rows = {
        "page1": event(customer, "viewedPage", date="2020-01-01T10:00:00Z"),
        "page2": event(customer, "viewedPage", date="2020-01-02T10:00:00Z", context="MOBILE"),
        "order": event(customer, "completedOrder", date="2020-01-03T10:00:00Z", context="ECOMMERCE"),
        "sent": event(customer, "campaignSent", date="2020-01-04T10:00:00Z", context="DIGITAL_CAMPAIGN"),
        "login": event(customer, "loggedIn", date="2020-01-05T10:00:00Z"),
    }
    made = {name: post(source, body) for name, body in rows.items()}
    eventually(lambda: check_page(source.get("events", {"customerId": customer}), total=len(rows)))
    return customer, made


def found_names(source, history, **query):
    customer, made = history
    names = {identifier: name for name, identifier in made.items()}
    return [names[found["id"]] for found in check_page(source.get("events", {"customerId": customer, **query}))]


SEARCHES = [
    ({}, "login sent order page2 page1"), ({"type": "viewedPage"}, "page2 page1"), ({"type": "viewedPage,loggedIn"}, "login page2 page1"),
    ({"context": "WEB"}, "login page1"), ({"context": "ECOMMERCE,MOBILE"}, "order page2"), ({"context": "IOT"}, ""),
    ({"mode": "ACTIVE"}, "login order page2 page1"), ({"mode": "PASSIVE"}, "sent"),
    ({"dateFrom": "2020-01-03T10:00:00Z"}, "login sent order"), ({"dateTo": "2020-01-03T10:00:00Z"}, "order page2 page1"),
    ({"dateFrom": "2020-01-02T10:00:00.000Z", "dateTo": "2020-01-04T10:00:00.000Z"}, "sent order page2"),
    ({"dateFrom": "2020-01-02T11:00:00+01:00", "dateTo": "2020-01-02T10:00:00+0000"}, "page2"),
    ({"dateFrom": "2020-01-05"}, "login"), ({"dateFrom": "2030-01-01T00:00:00Z"}, ""),
    ({"type": "viewedPage", "context": "MOBILE", "mode": "ACTIVE", "dateTo": "2020-12-31"}, "page2"),
    ({"sort": "date,asc"}, "page1 page2 order sent login"), ({"size": 2}, "login sent"), ({"size": 2, "page": 1}, "order page2"),
    ({"size": 2, "page": 9}, ""),
]


@pytest.mark.parametrize("query, expected", SEARCHES, ids=lambda value: str(value)[:60])
def test_search(source, history, query, expected):
    assert found_names(source, history, **query) == expected.split(), "events come latest first; both ends of a range are inside"


def test_search_by_node(source, history, node, space):
    customer, made = history
    found = check_page(source.get("events", {"nodeId": node, "customerId": customer}), size=10, number=0, total=5)
    assert len(found) == 5
    other = space.node()
    client = space.trusted(node, other)
    assert check_page(client.get("events", {"nodeId": other, "customerId": customer})) == []
    assert check_page(client.get("events", {"nodeId": other})) == []


def test_listed_events_look_like_single_ones(source, history):
    customer, _ = history
    for listed in check_page(source.get("events", {"customerId": customer})):
        assert source.get(f"events/{listed['id']}").json == listed


def test_default_size_is_ten(source, one_of_each):
    customer, _ = one_of_each
    assert len(check_page(source.get("events", {"customerId": customer}), size=10, number=0, total=48)) == 10
    assert len(check_page(source.get("events", {"customerId": customer, "size": 50}), size=50, total=48)) == 48


def test_modes_of_all_types(source, one_of_each):
    customer, _ = one_of_each
    for mode, types in (("ACTIVE", ACTIVE_TYPES), ("PASSIVE", PASSIVE_TYPES)):
        found = check_page(source.get("events", {"customerId": customer, "size": 50, "mode": mode}))
        assert {item["type"] for item in found} == set(types)


@pytest.mark.parametrize("query", [{"type": "unknown"}, {"context": "unknown"}, {"mode": "BOTH"}, {"dateFrom": "yesterday"}, {"dateTo": "2020-13-01"},
                                   {"size": 51}, {"size": -1}, {"page": -1}, {"size": "x"}], ids=str)
def test_bad_search(source, history, query):
    check_error(source.get("events", {"customerId": history[0], **query}), 400)


def test_search_for_an_unknown_customer(source, people):
    people.new()
    for customer in (new_id(), "123"):
        answer = source.get("events", {"customerId": customer})
        assert answer.status == 404 or check_page(answer) == [], "no such customer: nothing is found"


def test_neighbours_of_an_event(source, history):
    _, made = history
    middle = check_ok(source.get(f"events/{made['order']}", {"nav": "CUSTOMER"}))
    assert (middle["prev"], middle["next"]) == (made["page2"], made["sent"]), "nav=CUSTOMER names the neighbours by date"
    first = check_ok(source.get(f"events/{made['page1']}", {"nav": "CUSTOMER"}))
    assert (first["prev"], first["next"]) == (None, made["page2"])
    last = check_ok(source.get(f"events/{made['login']}", {"nav": "CUSTOMER"}))
    assert (last["prev"], last["next"]) == (made["sent"], None)
    plain = check_ok(source.get(f"events/{made['order']}"))
    assert not plain.get("prev") and not plain.get("next"), "without nav there are none"
    check_error(source.get(f"events/{made['order']}", {"nav": "NODE"}), 400)


# --- change and removal ------------------------------------------------------------------------------------------------------------------------


def test_put_replaces_the_values(source, someone):
    identifier = post(source, event(someone, "viewedPage", properties={"title": "a", "path": "/p"}, date="2020-01-01"))
    before = stored(source, identifier)
    answer = source.put(f"events/{identifier}", {**before, "properties": {"title": "b"}, "context": "MOBILE", "date": "2021-01-01T00:00:00Z"})
    check_ok(answer, 202)
    after = eventually(lambda: changed(source, before))
    assert after["properties"] == {"title": "b"}, "PUT replaces all property values"
    assert after["context"] == "MOBILE" and after["date"] == "2021-01-01T00:00:00.000+0000"
    assert_untouched(before, after)


def test_a_write_that_changes_nothing_leaves_the_event_as_it_is(source, someone):
    identifier = post(source, event(someone, "viewedPage", properties={"title": "a", "path": "/p"}))
    before = stored(source, identifier)
    check_ok(source.patch(f"events/{identifier}", {}), 202)
    check_ok(source.patch(f"events/{identifier}", {"properties": {"path": "/p", "title": "a"}, "date": before["date"]}), 202)
    check_ok(source.put(f"events/{identifier}", before), 202)
    check_ok(source.patch(f"events/{identifier}", {"properties": {"title": "b"}}), 202)
    eventually(lambda: stored(source, identifier)["properties"]["title"] == "b")
    assert stored(source, identifier)["version"] == before["version"] + 1, "changes of one event are made in order, and only one changed it"


def changed(source, before):
    now = check_ok(source.get(f"events/{before['id']}"))
    assert now["version"] > before["version"], "a change raises version"
    return now


def assert_untouched(before, after):
    for name in ("id", "customerId", "bringBackProperties", "type", "registeredAt", "origin"):
        assert after[name] == before[name], f"{name} is immutable"
    assert instant(after["updatedAt"]) > instant(before["updatedAt"] or before["registeredAt"])


def test_patch_changes_a_part(source, someone):
    identifier = post(source, event(someone, "viewedPage", properties={"title": "a", "path": "/p"}, date="2020-01-01"))
    before = stored(source, identifier)
    check_ok(source.patch(f"events/{identifier}", {"properties": {"title": "b"}}), 202)
    after = eventually(lambda: changed(source, before))
    assert after["properties"] == {"title": "b", "path": "/p"} and after["date"] == before["date"] and after["context"] == "WEB"
    assert_untouched(before, after)
    check_ok(source.patch(f"events/{identifier}", {"date": "2022-02-02T00:00:00Z"}), 202)
    assert eventually(lambda: changed(source, after))["date"] == "2022-02-02T00:00:00.000+0000"


def test_immutable_fields_stay(source, people, someone):
    identifier = post(source, event(someone, "viewedPage"))
    before = stored(source, identifier)
    other = people.new()["id"]
    for change in ({"type": "loggedIn"}, {"customerId": other}, {"registeredAt": "2000-01-01T00:00:00Z"}, {"origin": "DUPLICATE"}):
        answer = source.patch(f"events/{identifier}", change)
        check_status(answer, (202, 400))
    check_ok(source.patch(f"events/{identifier}", {"properties": {"title": "end"}}), 202)
    eventually(lambda: check_ok(source.get(f"events/{identifier}"))["properties"] == {"title": "end"})
    after = check_ok(source.get(f"events/{identifier}"))
    for name in ("id", "customerId", "type", "registeredAt", "origin", "context"):
        assert after[name] == before[name], f"{name} is immutable"


@pytest.mark.parametrize("method", ["put", "patch"])
def test_wrong_changes(source, someone, method):
    identifier = post(source, event(someone, "viewedPage"))
    before = stored(source, identifier)
    change = getattr(source, method)
    check_error(change(f"events/{identifier}", {**before, "properties": {"nothing": 1}}), 400, pointer="/properties/nothing")
    check_error(change(f"events/{identifier}", {**before, "contextInfo": {"nothing": 1}}), 400, pointer="/contextInfo/nothing")
    check_error(change(f"events/{identifier}", {**before, "date": "yesterday"}), 400, pointer="/date")
    check_error(change(f"events/{identifier}", {**before, "nothing": 1}), 400, pointer="/nothing")
    assert check_ok(source.get(f"events/{identifier}")) == before


def test_put_needs_the_whole(source, someone):
    identifier = post(source, event(someone, "viewedPage"))
    before = stored(source, identifier)
    for missing in ("type", "context"):
        body = {name: value for name, value in before.items() if name != missing}
        check_error(source.put(f"events/{identifier}", body), 400, pointer=f"/{missing}")


@pytest.mark.parametrize("identifier", ["123", "not-existing", "00000000-0000-4000-8000-000000000000"])
def test_unknown_event_is_404_never_400(source, someone, identifier):
    path = f"events/{identifier}"
    check_error(source.get(path), 404)
    check_error(source.put(path, event(someone)), 404)
    check_error(source.patch(path, {"properties": {}}), 404)
    check_error(source.delete(path), 404)


def test_delete(source, someone, node):
    identifier = post(source, event(someone))
    stored(source, identifier)
    check_empty(source.delete(f"events/{identifier}", {"nodeId": node}), 204)
    eventually(lambda: check_error(source.get(f"events/{identifier}"), 404))
    check_error(source.delete(f"events/{identifier}"), 404)
    found = check_page(source.get("events", {"customerId": someone, "size": 50}))
    assert identifier not in {item["id"] for item in found}


# --- sizes and repeats ----------------------------------------------------------------------------------------------------------------------------


def sized(customer, size):
    """An event whose body is exactly so many bytes."""
    body = event(customer, properties={"title": ""})
    room = size - len(json.dumps(body, ensure_ascii=False).encode())
    body["properties"]["title"] = "x" * room
    return body


def test_event_over_the_limit_is_413(source, someone):
    check_error(source.post("events", sized(someone, 66_000)), 413)
    post(source, sized(someone, 65_000))


def test_payload_size_per_type(make_space):
    space = make_space("payload")
    node = space.node()
    client = space.trusted(node)
    customer = check_ok(client.post("customers", {"nodeId": node, "base": {"contacts": {"email": "a@b"}}}), 201)["id"]
    sizes = check_ok(space.admin.get("configuration/events-payload-size"))
    assert set(sizes) == set(EVENT_TYPES) and all(entry == {"maxBytes": 65535} for entry in sizes.values()), "65535 bytes by default"
    check_ok(space.admin.put("configuration/events-payload-size", {"viewedPage": {"maxBytes": 1000}}))
    assert check_ok(space.admin.get("configuration/events-payload-size"))["viewedPage"] == {"maxBytes": 1000}
    check_error(client.post("events", sized(customer, 1001)), 413)
    post(client, sized(customer, 1000))
    body = sized(customer, 3000)
    post(client, {**body, "type": "formCompiled", "properties": {"extraProperties": {"x": "y" * 2000}}})


def test_a_page_of_the_largest_events(make_space):
    """Numbers of one digit: parsed, they would take thirty times the memory of their text."""
    space = make_space("large")
    node = space.node()
    client = space.trusted(node)
    customer = check_ok(client.post("customers", {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}}), 201)["id"]
    check_ok(space.admin.put("configuration/events-payload-size", {"viewedPage": {"maxBytes": 512 * 1024}}))
    properties = {"extraProperties": {"x": [1] * 170_000}}
    for _ in range(50):
        check_status(client.post("events", {"customerId": customer, "type": "viewedPage", "context": "WEB", "properties": properties}), 202)
    eventually(lambda: check_page(client.get("events", {"customerId": customer, "size": 1}), total=50))
    events = check_page(client.get("events", {"customerId": customer, "size": 50}), size=50, total=50)
    assert len(events) == 50 and all(event["properties"] == properties for event in events)


@pytest.mark.parametrize("body", [{"unknownType": {"maxBytes": 5}}, {"viewedPage": {"maxBytes": -1}}, {"viewedPage": {"maxBytes": "x"}},
                                  {"viewedPage": 5}], ids=str)
def test_bad_payload_size(space, body):
    check_error(space.admin.put("configuration/events-payload-size", body), 400)


def test_repeat_with_idempotency_key(source, people):
    customer = people.new()["id"]
    key = unique("key")
    body = event(customer, properties={"title": "once"})
    identifier = post(source, body, headers={"Idempotency-Key": key})
    for _ in range(3):
        assert post(source, body, headers={"Idempotency-Key": key}) == identifier, "a repeat gives the first result"
    stored(source, identifier)
    other = post(source, event(customer, properties={"title": "end"}))
    stored(source, other)
    found = check_page(source.get("events", {"customerId": customer}), total=2)
    assert {item["id"] for item in found} == {identifier, other}, "the repeats stored nothing"


def test_repeat_with_another_body_changes_nothing(source, people):
    customer = people.new()["id"]
    key = unique("key")
    identifier = post(source, event(customer, properties={"title": "first"}), headers={"Idempotency-Key": key})
    stored(source, identifier)
    check_error(source.post("events", event(customer, properties={"title": "other"}), headers={"Idempotency-Key": key}), 409)
    assert check_ok(source.get(f"events/{identifier}"))["properties"] == {"title": "first"}


def test_repeat_of_a_deletion_gives_the_first_result(source, people):
    """The event that would tell where its command went is gone, by that very command."""
    identifier = post(source, event(people.new()["id"]))
    stored(source, identifier)
    key = {"Idempotency-Key": unique("key")}
    for _ in range(3):
        assert source.delete(f"events/{identifier}", headers=key).status == 204
    check_error(source.delete(f"events/{identifier}", headers={"Idempotency-Key": unique("key")}), 404)
    check_error(source.delete(f"events/{new_id()}", headers=key), 404)


def test_repeat_for_a_customer_who_was_deleted_gives_the_first_result(source, people):
    customer = people.new()["id"]
    key, body = {"Idempotency-Key": unique("key")}, event(customer, properties={"title": "once"})
    identifier = post(source, body, headers=key)
    assert source.delete(f"customers/{customer}").status == 200
    assert post(source, body, headers=key) == identifier
    check_error(source.post("events", event(customer, properties={"title": "other"}), headers=key), 404)


def owner(client, identifier):
    """Whom the event belongs to, once it does."""
    return eventually(lambda: check_ok(client.get(f"events/{identifier}"))["customerId"] or False)


def test_repeat_ensures_no_customer_again(source, node):
    """The first one made the customer; what has become of her since stays so."""
    key, value = {"Idempotency-Key": unique("key")}, unique("id")
    named = lambda: event_of("EXTERNAL_ID", value, node)
    identifier = post(source, named(), headers=key)
    customer = owner(source, identifier)
    assert source.delete(f"customers/{customer}").status == 200
    assert post(source, named(), headers=key) == identifier
    check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=0)
    check_error(source.get(f"customers/{customer}"), 404)
    assert owner(source, post(source, named())) != customer, "an event without the key makes another one"


def test_repeat_after_the_customer_took_another_external_id(source, node):
    key, value = {"Idempotency-Key": unique("key")}, unique("id")
    named = event_of("EXTERNAL_ID", value, node)
    identifier = post(source, named, headers=key)
    customer = owner(source, identifier)
    check_ok(source.patch(f"customers/{customer}", {"externalId": unique("id")}))
    assert post(source, named, headers=key) == identifier
    assert owner(source, post(source, named)) != customer


def test_a_key_counts_among_the_events_of_one_customer(source, node, people):
    """A client that gives a whole mailing one key loses nothing."""
    key = {"Idempotency-Key": unique("key")}
    bodies = [event(people.new()["id"]) for _ in range(4)]
    bodies += [event_of(kind, unique("id"), node) for kind in ("EXTERNAL_ID", "SESSION_ID") for _ in range(4)]
    made = [post(source, body, headers=key) for body in bodies]
    assert len(set(made)) == len(bodies)
    for identifier in made:
        stored(source, identifier)
    assert [post(source, body, headers=key) for body in bodies] == made


def test_a_key_of_changes_counts_for_one_event(source, people):
    """Whichever customers they are of: changes of many under one key are all made, or all but the first refused."""
    key = {"Idempotency-Key": unique("key")}
    made = [post(source, event(people.new()["id"])) for _ in range(12)]
    for identifier in made:
        stored(source, identifier)
    for _ in range(2):
        for identifier in made:
            check_ok(source.patch(f"events/{identifier}", {"properties": {"title": "new"}}, headers=key), 202)
    check_error(source.patch(f"events/{made[0]}", {"properties": {"title": "newer"}}, headers=key), 409)
    eventually(lambda: [stored(source, identifier)["version"] for identifier in made] == [2] * len(made))
    key = {"Idempotency-Key": unique("key")}
    for _ in range(2):
        for identifier in made:
            check_empty(source.delete(f"events/{identifier}", headers=key), 204)


def test_same_event_twice_without_key_is_two_events(source, people):
    customer = people.new()["id"]
    made = {post(source, event(customer)) for _ in range(2)}
    assert len(made) == 2
    eventually(lambda: check_page(source.get("events", {"customerId": customer}), total=2))


def test_a_patch_answers_for_what_it_says(space):
    """A property that was disabled after events had it stops no change of anything else."""
    node = space.node(["externalId"])
    client = space.trusted(node)
    path = "configuration/events/openedTicket/properties/extended"
    declared = {"colour": {"type": "string"}}
    check_ok(space.admin.put(path, declared))
    customer = check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"]
    body = {"type": "openedTicket", "context": "WEB", "properties": {"extended": {"colour": "red"}}, "customerId": customer}
    event = check_ok(client.post("events", body), 202)["id"]
    eventually(lambda: check_ok(client.get(f"events/{event}")))
    check_ok(space.admin.put(path, {"colour": {"type": "string", "contactlabProperties": {"enabled": False}}}))
    check_ok(client.patch(f"events/{event}", {"date": "2020-01-02T03:04:05.000+0000", "properties": {"extraProperties": {"a": 1}}}), 202)

    def changed():
        found = check_ok(client.get(f"events/{event}"))
        assert found["date"] == "2020-01-02T03:04:05.000+0000"
        assert found["properties"] == {"extended": {"colour": "red"}, "extraProperties": {"a": 1}}
    eventually(changed)
    pointer = "/properties/extended/colour"
    check_error(client.patch(f"events/{event}", {"properties": {"extended": {"colour": "blue"}}}), 400, pointer=pointer)
    check_ok(client.patch(f"events/{event}", {"properties": {"extended": {"colour": None}}}), 202)
