"""One customer: shape, validation, POST, GET, PATCH, PUT, DELETE, null and list rules, versions, idempotency keys."""

import concurrent.futures
import json

import pytest

from client import eventually, new_id, quoted, unique
from contract import (check_customer, check_date_time, check_empty, check_error, check_ok, check_page, instant, stripped,
                      without_times)

DEEP_PATHS = ["base.firstName", "base.contacts.phone", "base.address.city", "base.address.geo", "base.credential.username",
              "base.socialProfile.twitter", "base.dob", "extra", "externalId", "consents.marketing.automatic.email.status"]

FULL = {
    "externalId": "full-1",
    "base": {
        "pictureUrl": "https://shop.example/p.png", "title": "Dr", "prefix": "Frau", "firstName": "Zoë", "lastName": "日本 Ω 😀",
        "middleName": "d'Arc \"x\" \\ / \t", "gender": "F", "dob": "1970-05-06", "locale": "it_IT", "timezone": "Europe/Rome",
        "contacts": {
            "email": "zoe@example.com", "fax": "1", "mobilePhone": "+39 2", "phone": "3",
            "otherContacts": [{"name": "home", "type": "MOBILE", "value": "4"}, {"name": "x", "type": None, "value": None}],
            "mobileDevices": [{"identifier": "i", "appId": "a", "name": "n", "type": "IOS", "notificationService": "APN"}]},
        "address": {"street": "s", "city": "c", "country": "IT", "province": "p", "region": "r", "zip": "20100",
                    "geo": {"lat": 45.464211, "lon": 9.191383}},
        "credential": {"username": "zoe", "password": "s3cret"},
        "educations": [{"id": "e1", "schoolType": "PRIMARY_SCHOOL", "schoolName": "n", "schoolConcentration": "c",
                        "startYear": 1976, "endYear": 1981, "isCurrent": False}],
        "likes": [{"id": "l1", "category": "c", "name": "n", "createdTime": "2015-01-02T03:04:05.678Z"}, {"id": "l2"}],
        "socialProfile": {"facebook": "f", "google": "g", "instagram": "i", "linkedin": "l", "qzone": "q", "twitter": "t"},
        "jobs": [{"id": "j1", "companyIndustry": "i", "companyName": "n", "jobTitle": "t", "startDate": "2001-02-03",
                  "endDate": "2004-05-06", "isCurrent": True}],
        "subscriptions": [{
            "id": "s1", "name": "n", "type": "t", "kind": "DIGITAL_MESSAGE", "subscribed": True,
            "startDate": "2016-01-01T00:00:00Z", "endDate": "2017-01-01T00:00:00Z", "subscriberId": "i",
            "registeredAt": "2015-12-31T00:00:00Z", "updatedAt": "2015-12-31T01:00:00Z",
            "subscribeContext": {"ip": "10.0.0.1", "userAgent": "u"},
            "unsubscribeContext": {"ip": "10.0.0.2", "userAgent": "v", "campaignId": "c", "campaignMessageId": "m"},
            "preferences": [{"key": "k", "value": "v"}]}],
    },
    "consents": {
        "disclaimer": {"date": "2018-05-25T00:00:00Z", "version": "v1"},
        "marketing": {
            "traditional": {"telephonic": {"status": True, "limitation": False, "objection": False},
                            "papery": {"status": True, "limitation": True, "objection": True}},
            "automatic": {name: {"status": True, "limitation": False, "objection": False}
                          for name in ("sms", "email", "push", "im", "telephonic")}},
        "profiling": {"classic": {"status": True}, "online": {"status": False}},
        "softSpam": {"email": {"objection": True}, "papery": {"objection": False}},
        "thirdPartyTransfer": {"profiling": {"status": True}, "marketing": {"status": True}},
    },
    "extra": "free text",
    "tags": {"auto": ["x", "y"], "manual": ["foo", "bar", "baz"]},
    "enabled": True,
}
DATE_LEAVES = {"createdTime", "startDate", "endDate", "registeredAt", "updatedAt", "date"}


def read(value, path):
    for name in path.split("."):
        value = value[name] if value is not None else None
    return value


def nested(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def with_instants(value, name=None):
    """The value with written date-times as instants, so that only their meaning is compared."""
    if isinstance(value, dict):
        return {key: with_instants(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_instants(inner) for inner in value]
    return instant(value) if name in DATE_LEAVES and isinstance(value, str) and "T" in value else value


# --- shape --------------------------------------------------------------------------------------------------------------------


def test_minimal_customer_has_the_whole_shape(people, source):
    customer = check_customer(people.new())
    base = customer["base"]
    for name in ("address", "credential", "socialProfile", "firstName", "dob", "timezone"):
        assert base[name] is None, f"base.{name} is null when it was not given"
    for name in ("extended", "tags", "extra", "externalId"):
        assert customer[name] is None, f"{name} is null when it was not given"
    assert not stripped(customer["consents"]), "consents that nobody gave are null, none is invented"
    assert customer["enabled"] is True and customer["version"] == 1 and customer["registeredAt"] == customer["updatedAt"]
    assert people.get(customer["id"]) == customer, "GET shows what POST answered"


def test_contacts_is_null_when_never_given(space):
    node = space.node(["externalId"])
    client = space.trusted(node)
    customer = check_customer(check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201))
    assert customer["base"]["contacts"] is None


def test_full_customer_comes_back_as_it_was_sent(people, node):
    sent = dict(FULL, nodeId=node)
    customer = check_customer(people.new(sent))
    got = {name: customer[name] for name in FULL}
    assert with_instants(stripped(got)) == with_instants(stripped(FULL)), "nothing is lost, changed or invented"
    assert customer["base"]["dob"] == "1970-05-06" and customer["base"]["jobs"][0]["startDate"] == "2001-02-03", \
        "dates without time stay so"
    assert customer["base"]["credential"]["password"] == "s3cret", "the password comes back as it was sent"
    assert customer["tags"]["manual"] == ["foo", "bar", "baz"], "the order of lists is kept"
    check_date_time(customer["base"]["likes"][0]["createdTime"], "likes.createdTime")
    check_date_time(customer["consents"]["disclaimer"]["date"], "consents.disclaimer.date")
    assert people.get(customer["id"]) == customer


def test_source_info_names_the_sources(space, node):
    first, one = space.source(node)
    second, other = space.source(node)
    customer = check_ok(one.post("customers", {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@x"}}}), 201)
    assert customer["sourceInfo"] == {"registeredBy": first["id"], "updatedBy": first["id"]}
    customer = check_ok(other.patch(f"customers/{customer['id']}", {"extra": "x"}))
    assert customer["sourceInfo"] == {"registeredBy": first["id"], "updatedBy": second["id"]}


def test_int_ids_count_up(people):
    first, second = people.new(), people.new()
    assert second["intId"] > first["intId"] > 0


def test_numbers_come_back_as_written(people):
    customer = people.new({"base": {"address": {"geo": {"lat": 0.1, "lon": -179.99999999}}}})
    assert customer["base"]["address"]["geo"] == {"lat": 0.1, "lon": -179.99999999}


def test_ordinary_bodies_do_not_look_like_errors(people):
    """One client library takes every body with these letters for an error."""
    text = str(people.new()).lower()
    assert "error" not in text and "logref" not in text


# --- POST ------------------------------------------------------------------------------------------------------------------------


def test_post_with_nulls_and_empty_lists(people, node):
    body = {"nodeId": node, "externalId": None, "extra": None, "extended": None, "tags": None, "consents": None, "base": {
        "firstName": None, "address": None, "credential": None, "timezone": None, "educations": [], "likes": [], "jobs": [],
        "subscriptions": [], "contacts": {"phone": None, "otherContacts": [], "mobileDevices": []}}}
    customer = check_customer(people.new(body))
    assert customer["tags"] is None and customer["base"]["address"] is None


def test_post_with_read_only_fields_of_its_own_making_is_accepted_or_refused_clearly(people):
    answer = people.post({"id": new_id()})
    assert answer.status in (201, 400), f"id in a POST is ignored or refused: {answer!r}"


@pytest.mark.parametrize("email", ["@example.com", "a@b", "ünï@cödé.example", "a+b@c.d"])
def test_email_is_lenient(people, email):
    sent = unique() + email
    assert people.new({"base": {"contacts": {"email": sent}}})["base"]["contacts"]["email"] == sent


def test_no_unique_property_is_400(source, node):
    body = check_error(source.post("customers", {"nodeId": node}), 400, "source customer is not valid",
                       pointer="/base/contacts/email")
    assert body["errors"][0]["message"] == "unique customer property is required"
    check_error(source.post("customers", {"nodeId": node, "base": {"contacts": {"email": None}}}), 400, pointer="/base/contacts/email")


def test_node_id_is_required(source):
    check_error(source.post("customers", {"base": {"contacts": {"email": "a@b"}}}), 400, pointer="/nodeId")


def test_mandatory_properties(space):
    node = space.node(["externalId"], mandatory=["base.contacts.email", "base.lastName"])
    client = space.trusted(node)
    body = check_error(client.post("customers", {"nodeId": node, "externalId": unique()}), 400)
    assert {entry["path"] for entry in body["errors"]} == {"/base/contacts/email", "/base/lastName"}, "one entry per missing property"
    whole = {"nodeId": node, "externalId": unique(), "base": {"lastName": "L", "contacts": {"email": "m@n"}}}
    customer = check_ok(client.post("customers", whole), 201)
    body = check_error(client.put(f"customers/{customer['id']}", {"nodeId": node, "externalId": whole["externalId"]}), 400)
    assert {entry["path"] for entry in body["errors"]} == {"/base/contacts/email", "/base/lastName"}
    check_ok(client.patch(f"customers/{customer['id']}", {"extra": "x"}))


INVALID = [
    ({"nothing": 1}, "/nothing"),
    ({"base": {"nothing": 1}}, "/base/nothing"),
    ({"base": {"contacts": {"nothing": 1}}}, "/base/contacts/nothing"),
    ({"base": {"address": {"geo": {"lat": 1, "lon": 2, "alt": 3}}}}, "/base/address/geo/alt"),
    ({"base": {"jobs": [{"id": "1"}, {"id": "2", "nothing": 1}]}}, "/base/jobs/1/nothing"),
    ({"consents": {"nothing": {}}}, "/consents/nothing"),
    ({"consents": {"profiling": {"classic": {"nothing": True}}}}, "/consents/profiling/classic/nothing"),
    ({"tags": {"nothing": []}}, "/tags/nothing"),
    ({"extended": {"undeclared": 1}}, "/extended/undeclared"),
    ({"base": {"firstName": 5}}, "/base/firstName"),
    ({"base": {"firstName": ["a"]}}, "/base/firstName"),
    ({"base": {"firstName": {"a": 1}}}, "/base/firstName"),
    ({"base": {"firstName": "x" * 256}}, "/base/firstName"),
    ({"base": {"pictureUrl": "http://x/" + "x" * 1000}}, "/base/pictureUrl"),
    ({"base": {"address": {"street": "x" * 501}}}, "/base/address/street"),
    ({"base": {"address": {"city": "x" * 256}}}, "/base/address/city"),
    ({"base": {"dob": "1970-13-01"}}, "/base/dob"),
    ({"base": {"dob": "1970-02-30"}}, "/base/dob"),
    ({"base": {"dob": "yesterday"}}, "/base/dob"),
    ({"base": {"locale": "italian"}}, "/base/locale"),
    ({"base": {"timezone": "Mars/Base"}}, "/base/timezone"),
    ({"base": {"contacts": {"email": "no-at-sign"}}}, "/base/contacts/email"),
    ({"base": {"contacts": {"otherContacts": [{"type": "PIGEON"}]}}}, "/base/contacts/otherContacts/0/type"),
    ({"base": {"contacts": {"mobileDevices": {}}}}, "/base/contacts/mobileDevices"),
    ({"base": {"address": {"geo": {"lat": 91, "lon": 0}}}}, None),
    ({"base": {"address": {"geo": {"lat": 1}}}}, None),
    ({"base": {"educations": [{"schoolName": "no id"}]}}, "/base/educations/0/id"),
    ({"base": {"educations": [{"id": "1", "startYear": "1999"}]}}, "/base/educations/0/startYear"),
    ({"base": {"likes": [{"id": "1", "createdTime": "noon"}]}}, "/base/likes/0/createdTime"),
    ({"base": {"subscriptions": [{"id": "1", "subscribed": "yes"}]}}, "/base/subscriptions/0/subscribed"),
    ({"base": []}, "/base"),
    ({"extra": 5}, "/extra"),
    ({"enabled": "yes"}, "/enabled"),
    ({"tags": {"manual": "foo"}}, "/tags/manual"),
    ({"tags": {"manual": [1]}}, "/tags/manual/0"),
    ({"tags": {"manual": ["x" * 501, "y" * 500]}}, "/tags/manual"),
    ({"externalId": 5}, "/externalId"),
    ({"consents": {"profiling": {"classic": {"status": "true"}}}}, "/consents/profiling/classic/status"),
    ({"consents": {"disclaimer": {"date": "2018"}}}, "/consents/disclaimer/date"),
]


@pytest.mark.parametrize("body, pointer", INVALID, ids=lambda value: str(value)[:60])
def test_invalid_values_point_to_the_fault(people, source, body, pointer):
    check_error(people.post(body), 400, pointer=pointer)
    customer = people.new()
    check_error(source.patch(f"customers/{customer['id']}", body), 400, pointer=pointer)
    assert people.get(customer["id"]) == customer, "a refused PATCH changes nothing"


def test_one_entry_per_fault(people):
    body = check_error(people.post({"nothing": 1, "base": {"firstName": 1, "dob": "x", "jobs": [{}]}}), 400)
    paths = [entry["path"] for entry in body["errors"]]
    assert {"/nothing", "/base/firstName", "/base/dob", "/base/jobs/0/id"} <= set(paths) and len(paths) == len(set(paths))


def test_lengths_at_the_limit_are_accepted(people):
    customer = people.new({"base": {"firstName": "é" * 255, "pictureUrl": "http://x/" + "x" * 991, "address": {"street": "s" * 500}},
                           "tags": {"manual": ["x" * 500, "y" * 500]}})
    assert len(customer["base"]["firstName"]) == 255, "limits count characters, not bytes"


def test_pointer_escapes(people):
    check_error(people.post({"base": {"a/b~c": 1}}), 400, pointer="/base/a~1b~0c")


def test_nothing_is_written_by_a_refused_post(people, source, node):
    email = f"{unique()}@example.com"
    check_error(people.post({"base": {"firstName": 1, "contacts": {"email": email}}}), 400)
    query = '{"query":{"type":"simple","are":{"condition":{"type":"atomic","attribute":"base.contacts.email","operator":"EQUALS","value":"%s"}}}}'
    assert check_page(source.get("customers", {"nodeId": node, "query": query % email})) == []


# --- POST that merges ----------------------------------------------------------------------------------------------------------------


def test_merge_answers_201_with_the_existing_customer(people):
    first = people.new({"base": {"firstName": "Anna", "lastName": "Alt", "address": {"city": "Rom"}}, "extra": "one"})
    email = {"email": first["base"]["contacts"]["email"]}
    merged = people.new({"base": {"firstName": "Berta", "contacts": {**email, "phone": "1"}, "address": {"zip": "2"}}})
    assert merged["id"] == first["id"] and merged["intId"] == first["intId"] and merged["registeredAt"] == first["registeredAt"]
    assert merged["base"]["firstName"] == "Berta", "given scalars replace"
    assert merged["base"]["lastName"] == "Alt" and merged["extra"] == "one", "what is not given stays"
    assert merged["base"]["address"]["city"] == "Rom" and merged["base"]["address"]["zip"] == "2", "objects merge"
    assert merged["version"] == 2 and instant(merged["updatedAt"]) > instant(first["updatedAt"])
    assert people.get(first["id"]) == check_customer(merged)


def test_merge_appends_lists_and_removes_duplicates(people):
    first = people.new({"tags": {"manual": ["a", "b"], "auto": ["z"]}, "base": {
        "contacts": {"otherContacts": [{"name": "x", "type": "FAX", "value": "1"}]}}})
    email = first["base"]["contacts"]["email"]
    merged = people.new({"tags": {"manual": ["b", "c"]}, "base": {"contacts": {"email": email, "otherContacts": [
        {"name": "x", "type": "FAX", "value": "1"}, {"name": "y", "type": "FAX", "value": "2"}]}}})
    assert merged["tags"] == {"manual": ["a", "b", "c"], "auto": ["z"]}, "collections are appended and de-duplicated, in order"
    assert [contact["name"] for contact in merged["base"]["contacts"]["otherContacts"]] == ["x", "y"]


def test_merge_replaces_items_of_the_same_id_in_place(people):
    first = people.new({"base": {"jobs": [{"id": "1", "companyName": "A", "jobTitle": "t"}, {"id": "2"}],
                                 "subscriptions": [{"id": "s", "name": "N", "subscribed": True}]}})
    email = first["base"]["contacts"]["email"]
    merged = people.new({"base": {"contacts": {"email": email}, "jobs": [{"id": "1", "companyName": "B"}, {"id": "3"}],
                                  "subscriptions": [{"id": "s", "subscribed": False}, {"id": "t"}]}})
    assert [job["id"] for job in merged["base"]["jobs"]] == ["1", "2", "3"], "the same id keeps its place, new ones come after"
    assert merged["base"]["jobs"][0]["companyName"] == "B" and not merged["base"]["jobs"][0].get("jobTitle"), "the item is replaced"
    subscription = merged["base"]["subscriptions"][0]
    assert (subscription["name"], subscription["subscribed"]) == ("N", False), "a subscription merges field by field"
    assert [entry["id"] for entry in merged["base"]["subscriptions"]] == ["s", "t"]


def test_merge_ignores_null_and_empty_lists(people):
    first = people.new({"extra": "one", "tags": {"manual": ["a"]}, "base": {"firstName": "Anna", "jobs": [{"id": "1"}],
                                                                           "address": {"city": "Rom"}}})
    email = first["base"]["contacts"]["email"]
    merged = people.new({"extra": None, "tags": {"manual": []}, "base": {"firstName": None, "jobs": [], "address": None,
                                                                        "contacts": {"email": email, "phone": None}}})
    assert merged == first, "POST never removes anything, and a write that changes nothing leaves version and updatedAt"


def test_merge_of_the_same_body_changes_nothing(people):
    body = {"base": {"firstName": "Anna", "contacts": {"email": f"{unique()}@example.com"}, "jobs": [{"id": "1", "jobTitle": "t"}]},
            "tags": {"manual": ["a"]}, "consents": {"profiling": {"classic": {"status": True}}}}
    first = people.new(body)
    assert people.new(body) == first


def test_concurrent_posts_make_one_customer(people, source, node):
    email = f"{unique()}@example.com"
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        made = list(pool.map(lambda number: people.new({"base": {"firstName": str(number), "contacts": {"email": email}}}), range(16)))
    assert len({customer["id"] for customer in made}) == 1, "equal unique properties are one customer, however many post at once"
    assert sorted(customer["version"] for customer in made) == list(range(1, 17)), "each write counted once"
    assert people.get(made[0]["id"])["version"] == 16


# --- PATCH -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DEEP_PATHS)
def test_patch_null_unsets_and_leaves_the_rest(people, source, path):
    customer = people.new(dict(FULL, base=dict(FULL["base"], contacts={**FULL["base"]["contacts"], "email": f"{unique()}@x"})))
    patched = check_customer(check_ok(source.patch(f"customers/{customer['id']}", nested(path, None))))
    assert read(customer, path) is not None and read(patched, path) is None, f"null unsets {path}"
    for other in DEEP_PATHS:
        if other != path:
            assert read(patched, other) == read(customer, other), f"what is not sent stays: {other}"
    assert patched["tags"] == customer["tags"] and patched["base"]["jobs"] == customer["base"]["jobs"]
    assert people.get(customer["id"]) == patched, "PATCH answers what the next GET shows"


@pytest.mark.parametrize("name", ["address", "credential", "socialProfile"])
def test_patch_null_unsets_an_object(people, source, name):
    customer = people.new({"base": {name: FULL["base"][name], "firstName": "A"}})
    patched = check_ok(source.patch(f"customers/{customer['id']}", {"base": {name: None}}))
    assert patched["base"][name] is None and patched["base"]["firstName"] == "A"


@pytest.mark.parametrize("name", ["educations", "likes", "jobs"])
def test_patch_lists(people, source, name):
    customer = people.new({"base": {name: [{"id": "1"}, {"id": "2"}], "firstName": "A"}})
    path = f"customers/{customer['id']}"
    patched = check_ok(source.patch(path, {"base": {name: [{"id": "3"}, {"id": "1"}, {"id": "3"}]}}))
    assert [item["id"] for item in patched["base"][name]] == ["3", "1"], "the sent list is the list, duplicates removed"
    patched = check_ok(source.patch(path, {"base": {"firstName": "B"}}))
    assert [item["id"] for item in patched["base"][name]] == ["3", "1"], "a list that is not sent stays"
    assert check_ok(source.patch(path, {"base": {name: []}}))["base"][name] == [], "[] empties a list"


def test_patch_of_one_tag_list_leaves_the_other(people, source):
    customer = people.new({"tags": {"auto": ["a"], "manual": ["m"]}})
    path = f"customers/{customer['id']}"
    assert check_ok(source.patch(path, {"tags": {"manual": ["foo", "bar", "foo", "baz"]}}))["tags"] == \
        {"auto": ["a"], "manual": ["foo", "bar", "baz"]}
    assert check_ok(source.patch(path, {"tags": {"manual": []}}))["tags"]["auto"] == ["a"]


def test_patch_merges_consents_deeply(people, source):
    customer = people.new({"consents": {"marketing": {"automatic": {"email": {"status": True, "limitation": False}}}}})
    patched = check_ok(source.patch(f"customers/{customer['id']}", {"consents": {
        "marketing": {"automatic": {"email": {"objection": True}, "sms": {"status": True}}}, "profiling": {"online": {"status": False}}}}))
    automatic = patched["consents"]["marketing"]["automatic"]
    assert automatic["email"] == {"status": True, "limitation": False, "objection": True}, "other branches and leaves stay"
    assert automatic["sms"]["status"] is True and patched["consents"]["profiling"]["online"]["status"] is False


def test_patch_merges_contacts(people, source):
    customer = people.new({"base": {"contacts": {"phone": "1", "otherContacts": [{"name": "x", "type": "FAX", "value": "1"}]}}})
    patched = check_ok(source.patch(f"customers/{customer['id']}", {"base": {"contacts": {"fax": "2"}}}))
    contacts = patched["base"]["contacts"]
    assert (contacts["phone"], contacts["fax"], contacts["email"]) == ("1", "2", customer["base"]["contacts"]["email"])
    assert contacts["otherContacts"] == customer["base"]["contacts"]["otherContacts"]


def test_subscriptions_merge_by_id_unless_strict(people, source):
    customer = people.new({"base": {"subscriptions": [{"id": "a", "name": "A", "subscribed": True}, {"id": "b", "name": "B"}]}})
    path = f"customers/{customer['id']}"
    for method in (source.patch, source.put):
        body = {"nodeId": customer["nodeId"], "base": {"contacts": customer["base"]["contacts"], "subscriptions": [
            {"id": "a", "subscribed": False}, {"id": "c", "name": "C"}]}}
        entries = {entry["id"]: entry for entry in check_ok(method(path, body))["base"]["subscriptions"]}
        assert set(entries) == {"a", "b", "c"}, "items that are not named stay, new ones are added"
        assert entries["a"]["name"] == "A" and entries["a"]["subscribed"] is False, "missing fields of an item are kept"
        strict = check_ok(method(path, body, {"mode": "STRICT"}))["base"]["subscriptions"]
        assert [entry["id"] for entry in strict] == ["a", "c"], "mode=STRICT makes the sent list the list"
        assert not strict[0].get("name"), "and does not keep missing fields"
        check_ok(method(path, {**body, "base": {**body["base"], "subscriptions": [{"id": "a", "name": "A", "subscribed": True},
                                                                                 {"id": "b", "name": "B"}]}}, {"mode": "STRICT"}))
    assert check_ok(source.patch(path, {"base": {"subscriptions": []}}))["base"]["subscriptions"] == [], "[] empties the list"


def test_unknown_mode_is_400(people, source):
    customer = people.new()
    check_error(source.patch(f"customers/{customer['id']}", {"extra": "x"}, {"mode": "LOOSE"}), 400, pointer="/mode")


def test_patch_accepts_and_ignores_read_only_fields(people, source):
    customer = people.new()
    patched = check_ok(source.patch(f"customers/{customer['id']}", {
        "id": customer["id"], "nodeId": customer["nodeId"], "intId": 999, "version": 77, "deleted": 1, "extra": "x",
        "registeredAt": "2000-01-01T00:00:00Z", "updatedAt": "2000-01-01T00:00:00Z", "sourceInfo": {"registeredBy": "x", "updatedBy": "y"}}))
    assert (patched["intId"], patched["version"], patched["deleted"]) == (customer["intId"], 2, -1)
    assert patched["registeredAt"] == customer["registeredAt"] and patched["extra"] == "x"


def test_updated_at_and_version_grow_with_every_change(people, source):
    customer = people.new()
    path = f"customers/{customer['id']}"
    for number in range(25):
        changed = check_ok(source.patch(path, {"extra": str(number)}))
        assert instant(changed["updatedAt"]) > instant(customer["updatedAt"]), "updatedAt grows strictly, even within a millisecond"
        assert changed["version"] == customer["version"] + 1
        customer = changed


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_write_that_changes_nothing_leaves_version_and_updated_at(people, source, method):
    customer = people.new({"base": {"firstName": "Anna", "jobs": [{"id": "1"}]}, "tags": {"manual": ["a"]}})
    body = {"nodeId": customer["nodeId"], "base": {"firstName": "Anna", "contacts": {"email": customer["base"]["contacts"]["email"]},
                                                  "jobs": [{"id": "1"}], "lastName": None}, "tags": {"manual": ["a"]}}
    assert check_ok(getattr(source, method)(f"customers/{customer['id']}", body)) == customer
    assert people.get(customer["id"]) == customer


def test_enabled_is_a_flag(people, source):
    customer = people.new({"enabled": False})
    assert customer["enabled"] is False
    assert check_ok(source.patch(f"customers/{customer['id']}", {"enabled": True}))["enabled"] is True


# --- PUT -----------------------------------------------------------------------------------------------------------------------------------


def test_put_of_what_get_returned(people, source, node):
    email = f"{unique()}@example.com"
    customer = people.new(dict(FULL, base=dict(FULL["base"], contacts={**FULL["base"]["contacts"], "email": email})))
    got = people.get(customer["id"])
    assert check_ok(source.put(f"customers/{customer['id']}", got)) == got, "a round trip changes nothing, version and updatedAt included"
    assert check_ok(source.put(f"customers/{customer['id']}", got, {"mode": "STRICT"})) == got
    minimal = people.get(people.new()["id"])
    assert check_ok(source.put(f"customers/{minimal['id']}", minimal)) == minimal, "nulls and empty lists invent nothing"


def test_put_of_what_get_returned_of_the_largest_customer(source, node):
    body = {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}, "extra": ""}
    body["extra"] = "x" * (64 * 1024 - len(json.dumps(body)))
    made = check_ok(source.post("customers", body), 201)
    path = f"customers/{made['id']}"
    assert check_ok(source.put(path, check_ok(source.get(path))))["extra"] == body["extra"]
    for more in (1000, 64 * 1024):
        check_error(source.put(path, {**body, "extra": body["extra"] + "x" * more}), 413)


def test_put_replaces_what_is_given_and_keeps_what_is_missing(people, source):
    customer = people.new({"extra": "one", "tags": {"manual": ["a", "b"], "auto": ["z"]},
                           "base": {"firstName": "A", "lastName": "B", "jobs": [{"id": "1"}, {"id": "2"}], "likes": [{"id": "9"}]}})
    body = {"nodeId": customer["nodeId"], "tags": {"manual": ["b", "b", "c"]},
            "base": {"contacts": customer["base"]["contacts"], "firstName": "Z", "lastName": None, "jobs": [{"id": "2"}]}}
    put = check_customer(check_ok(source.put(f"customers/{customer['id']}", body)))
    assert put["base"]["firstName"] == "Z" and put["base"]["lastName"] is None, "given values replace, null unsets"
    assert put["tags"]["manual"] == ["b", "c"] and [job["id"] for job in put["base"]["jobs"]] == ["2"], "given lists replace, as sets"
    assert put["extra"] == "one" and put["base"]["likes"] == customer["base"]["likes"] and put["tags"]["auto"] == ["z"], \
        "missing values are not modified"
    assert put["version"] == 2 and people.get(customer["id"]) == put


def test_put_without_unique_property_is_400(people, source):
    customer = people.new()
    body = {"nodeId": customer["nodeId"], "base": {"firstName": "A"}}
    check_error(source.put(f"customers/{customer['id']}", body), 400, pointer="/base/contacts/email")


def test_put_without_node_id_is_accepted(people, source):
    customer = people.new()
    body = {"id": customer["id"], "base": {"firstName": "A", "contacts": {"email": customer["base"]["contacts"]["email"]}}}
    assert check_ok(source.put(f"customers/{customer['id']}", body))["base"]["firstName"] == "A"


def test_put_with_another_node_is_refused(people, source, space):
    customer = people.new()
    other = space.node()
    answer = source.put(f"customers/{customer['id']}", {**customer, "nodeId": other, "extra": "moved"})
    check_error(answer, (400, 403))
    assert people.get(customer["id"]) == customer


def test_put_does_not_create(source, node):
    body = {"nodeId": node, "base": {"contacts": {"email": "a@b"}}}
    check_error(source.put(f"customers/{new_id()}", body), 404)


# --- unknown ids, DELETE ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("customer", ["00000000-0000-4000-8000-000000000000", "123", "not-existing", "%20", "é", "x" * 300])
def test_unknown_customer_is_404_never_400(source, node, customer):
    path = f"customers/{customer if customer == '%20' else quoted(customer)}"
    check_error(source.get(path), 404)
    check_error(source.patch(path, {"extra": "x"}), 404)
    check_error(source.put(path, {"nodeId": node, "base": {"contacts": {"email": "a@b"}}}), 404)
    check_error(source.delete(path), 404)
    check_error(source.get(f"{path}/sessions"), 404)
    check_error(source.post(f"{path}/sessions", {"value": unique()}), 404)
    check_error(source.get(f"{path}/jobs/1"), 404)
    check_error(source.post(f"{path}/jobs", {"id": "1"}), 404)
    check_error(source.post(f"{path}/subscriptions", {"id": "1", "subscribed": True}), 404)


def test_ids_in_upper_case_are_the_same_ids(people, source):
    customer = people.new()
    assert check_ok(source.get(f"customers/{customer['id'].upper()}"))["id"] == customer["id"]


def test_needless_node_id_is_ignored(people, source, node):
    customer = people.new()
    for value in (node, "nonsense"):
        check_ok(source.get(f"customers/{customer['id']}", {"nodeId": value}))
    check_empty(source.delete(f"customers/{customer['id']}", {"nodeId": node}))


def test_delete(people, source, node):
    customer = people.new()
    path = f"customers/{customer['id']}"
    event = check_ok(source.post("events", {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {}}), 202)
    eventually(lambda: check_ok(source.get(f"events/{event['id']}")))
    check_empty(source.delete(path))
    check_error(source.get(path), 404)
    check_error(source.delete(path), 404)
    check_error(source.patch(path, {"extra": "x"}), 404)
    check_error(source.post(f"{path}/sessions", {"value": unique()}), 404)
    eventually(lambda: check_error(source.get(f"events/{event['id']}"), 404))
    check_error(source.post("events", {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {}}), 404)
    again = people.new({"base": {"contacts": {"email": customer["base"]["contacts"]["email"]}}})
    assert again["id"] != customer["id"] and again["version"] == 1, "the unique value is free again"


def test_events_on_their_way_die_with_the_customer(people, source):
    customer = people.new()
    events = [check_ok(source.post("events", {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {}}), 202)["id"]
              for _ in range(10)]
    check_empty(source.delete(f"customers/{customer['id']}"))
    eventually(lambda: check_page(source.get("events", {"customerId": customer["id"]}), total=0))
    for event in events:
        eventually(lambda: check_error(source.get(f"events/{event}"), 404))


# --- sizes and repeats --------------------------------------------------------------------------------------------------------------------------


def test_customer_over_64_kib_is_413(people, source):
    check_error(people.post({"extra": "x" * 66_000}), 413)
    customer = people.new()
    check_error(source.patch(f"customers/{customer['id']}", {"extra": "x" * 66_000}), 413)
    assert people.get(customer["id"]) == customer
    assert len(people.new({"extra": "x" * 60_000})["extra"]) == 60_000, "below 64 kB a customer is accepted"


def test_repeat_with_idempotency_key_gives_the_first_result(people, source):
    key = unique("key")
    body = {"base": {"firstName": "A", "contacts": {"email": f"{unique()}@example.com"}}}
    first = people.new(body, headers={"Idempotency-Key": key})
    changed = check_ok(source.patch(f"customers/{first['id']}", {"base": {"firstName": "B"}}))
    repeat = people.post(body, headers={"Idempotency-Key": key})
    assert repeat.status == 201 and repeat.json["id"] == first["id"]
    assert without_times(repeat.json)["base"]["firstName"] == "A", "a repeat answers the first result"
    assert people.get(first["id"]) == changed, "and does nothing a second time"


def test_repeat_with_another_body_is_409(people, source):
    key = unique("key")
    customer = people.new({}, headers={"Idempotency-Key": key})
    check_error(people.post({"extra": "other"}, headers={"Idempotency-Key": key}), 409)
    path = f"customers/{customer['id']}"
    check_ok(source.patch(path, {"extra": "x"}, headers={"Idempotency-Key": key + "p"}))
    check_error(source.patch(path, {"extra": "y"}, headers={"Idempotency-Key": key + "p"}), 409)
    assert people.get(customer["id"])["extra"] == "x"


def test_keyed_patch_and_delete_repeat(people, source):
    customer = people.new()
    path, key = f"customers/{customer['id']}", unique("key")
    first = check_ok(source.patch(path, {"extra": "x"}, headers={"Idempotency-Key": key}))
    assert check_ok(source.patch(path, {"extra": "x"}, headers={"Idempotency-Key": key})) == first
    for _ in range(2):
        check_empty(source.delete(path, headers={"Idempotency-Key": key + "d"}))


def test_a_key_belongs_to_its_caller(space, node):
    key = unique("key")
    one, other = space.trusted(node), space.trusted(node)
    bodies = [{"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}} for _ in range(2)]
    first = check_ok(one.post("customers", bodies[0], headers={"Idempotency-Key": key}), 201)
    second = check_ok(other.post("customers", bodies[1], headers={"Idempotency-Key": key}), 201)
    assert first["id"] != second["id"]


def test_without_key_each_post_counts(space):
    node = space.node(["externalId"])
    client = space.trusted(node)
    made = [check_ok(client.post("customers", {"nodeId": node, "externalId": unique()}), 201)["id"] for _ in range(3)]
    assert len(set(made)) == 3
