"""The customer search: query language, sort, fields, paging, extended properties."""

import json

import pytest

from client import unique
from contract import (BASE_LISTS, BASE_OBJECTS, BASE_TEXTS, CUSTOMER_FIELDS, PAGE_FIELDS, check_error, check_ok, check_page,
                      instant)

EXTENDED = {
    "points": {"type": "number"}, "visits": {"type": "integer"}, "member": {"type": "boolean"}, "colour": {"type": "string"},
    "sizes": {"type": "array", "items": {"type": "number"}}, "words": {"type": "array", "items": {"type": "string"}},
    "since": {"type": "string", "format": "date"}, "seen": {"type": "string", "format": "date-time"},
}

# Who is in the node; the key is the external id.
PEOPLE = {
    "ada": {"base": {"firstName": "Ada", "lastName": "Alfa", "dob": "1960-01-15", "gender": "F", "address": {"city": "Rome"},
                     "jobs": [{"id": "1", "companyName": "Acme"}, {"id": "2", "companyName": "Byte"}]},
            "tags": {"manual": ["vip", "news"], "auto": ["hot"]},
            "extended": {"points": 5, "visits": 3, "member": True, "colour": "red", "sizes": [38, 40], "words": ["a", "b"],
                         "since": "2010-05-01", "seen": "2020-01-01T00:00:00Z"},
            "consents": {"marketing": {"automatic": {"email": {"status": True}}}}, "extra": "note"},
    "bea": {"base": {"firstName": "Bea", "lastName": "Beta", "dob": "1970-06-30", "gender": "F", "address": {"city": "Milan"},
                     "jobs": [{"id": "1", "companyName": "Byte"}]},
            "tags": {"manual": ["vip"]},
            "extended": {"points": 10.5, "visits": 0, "member": False, "colour": "green", "sizes": [40], "words": [],
                         "since": "2015-05-01", "seen": "2021-01-01T00:00:00Z"},
            "consents": {"marketing": {"automatic": {"email": {"status": False}}}}},
    "carl": {"base": {"firstName": "Carl", "lastName": "Gamma", "dob": "1980-12-31", "address": {"city": "Rome"}},
             "tags": {"auto": ["hot", "cold"]}, "extended": {"points": -1, "visits": 30, "colour": "blue"}, "extra": "5"},
    "dino": {"base": {"firstName": "Dino", "lastName": "Delta"}, "enabled": False},
    "mario": {"base": {"firstName": "Mario", "lastName": "de'Rossi \"x\" \\ %_"}},
    "none": {},
}
EVERYBODY = set(PEOPLE)


@pytest.fixture(scope="module")
def crowd(space):
    """(client, node, external id -> customer) of the people above, with the extended properties declared."""
    declared = {name: {**schema, "contactlabProperties": {"label": name, "enabled": True, "maxLength": 255}}
                for name, schema in EXTENDED.items()}
    check_ok(space.admin.put("configuration/properties/extended", declared))
    node = space.node(["externalId"])
    client = space.trusted(node)
    made = {}
    for name, body in PEOPLE.items():
        base = dict(body.get("base", {}))
        if name in ("ada", "bea", "carl"):
            base["contacts"] = {"email": f"{name}@example.com"}
        made[name] = check_ok(client.post("customers", {"nodeId": node, "externalId": name, **body, "base": base}), 201)
    return client, node, made


def search(crowd, query=None, **more):
    client, node, _ = crowd
    parameters = {"nodeId": node, "size": 50, **more}
    if query is not None:
        parameters["query"] = json.dumps(query)
    return client.get("customers", parameters)


def names(answer):
    return [customer["externalId"] for customer in check_page(answer)]


def atomic(attribute, operator, *value):
    return {"type": "atomic", "attribute": attribute, "operator": operator, **({"value": value[0]} if value else {})}


def both(*conditions):
    return {"type": "composite", "conjunction": "and", "conditions": list(conditions)}


def either(*conditions):
    return {"type": "composite", "conjunction": "or", "conditions": list(conditions)}


def simple(condition):
    return {"type": "simple", "are": {"condition": condition}}


def combined(conjunction, *queries):
    return {"type": "combined", "conjunction": conjunction, "queries": list(queries)}


def container(query, **more):
    return {"name": "test", "query": query, **more}


def people_of(text):
    return set(text.split())


# attribute, operator, value (or nothing), who matches
ATOMIC = [
    ("base.firstName", "EQUALS", "Ada", "ada"),
    ("base.firstName", "EQUALS", "Ad", ""),
    ("base.lastName", "EQUALS", "de'Rossi \"x\" \\ %_", "mario"),
    ("base.lastName", "EQUALS", "%", ""),
    ("base.address.city", "EQUALS", "Rome", "ada carl"),
    ("base.contacts.email", "EQUALS", "bea@example.com", "bea"),
    ("externalId", "EQUALS", "dino", "dino"),
    ("extra", "EQUALS", "note", "ada"),
    ("enabled", "EQUALS", False, "dino"),
    ("enabled", "EQUALS", True, "ada bea carl mario none"),
    ("extended.points", "EQUALS", 10.5, "bea"),
    ("extended.points", "EQUALS", 5, "ada"),
    ("extended.points", "EQUALS", 5.0, "ada"),
    ("extended.visits", "EQUALS", 0, "bea"),
    ("extended.member", "EQUALS", True, "ada"),
    ("extended.member", "EQUALS", False, "bea"),
    ("consents.marketing.automatic.email.status", "EQUALS", True, "ada"),
    ("base.dob", "EQUALS", "1970-06-30", "bea"),
    # One client library turns every value into text.
    ("extended.points", "EQUALS", "5", "ada"),
    ("extended.points", "EQUALS", "10.5", "bea"),
    ("extended.member", "EQUALS", "true", "ada"),
    ("extended.member", "EQUALS", "false", "bea"),
    ("enabled", "EQUALS", "false", "dino"),
    ("extended.points", "GT", "4", "ada bea"),
    ("extra", "EQUALS", "5", "carl"),
    # Through lists a path means any element.
    ("base.jobs.companyName", "EQUALS", "Byte", "ada bea"),
    ("base.jobs.companyName", "EQUALS", "Acme", "ada"),
    ("tags.manual", "EQUALS", "vip", "ada bea"),
    ("extended.sizes", "EQUALS", 38, "ada"),
    ("base.firstName", "NOT_EQUALS", "Ada", None),
    # Order.
    ("extended.points", "GT", 5, "bea"),
    ("extended.points", "GTE", 5, "ada bea"),
    ("extended.points", "LT", 5, "carl"),
    ("extended.points", "LTE", 5, "ada carl"),
    ("extended.visits", "GT", 3, "carl"),
    ("extended.points", "BETWEEN", [5, 10.5], "ada bea"),
    ("extended.points", "BETWEEN", [-1, 4.99], "carl"),
    ("base.dob", "BETWEEN", ["1960-01-15", "1970-06-30"], "ada bea"),
    ("base.dob", "BETWEEN", ["1960-01-16", "1970-06-29"], ""),
    ("base.dob", "BETWEEN", ["1900-01-01T00:00:00.000Z", "1975-01-01T00:00:00.000Z"], "ada bea"),
    ("base.dob", "BETWEEN", ["1900-01-01T00:00:00+0000", "1961-01-01T00:00:00+01:00"], "ada"),
    ("base.dob", "GT", "1970-06-30", "carl"),
    ("base.dob", "GTE", "1970-06-30T00:00:00Z", "bea carl"),
    ("base.dob", "LT", "1960-01-15T00:00:00.001Z", "ada"),
    ("extended.since", "GT", "2012-01-01", "bea"),
    ("extended.seen", "BETWEEN", ["2020-06-01T00:00:00Z", "2021-01-01T00:00:00Z"], "bea"),
    ("extended.seen", "LT", "2020-01-01T00:00:00.001+0000", "ada"),
    ("base.lastName", "BETWEEN", ["Alfa", "Beta"], "ada bea"),
    ("registeredAt", "GT", "2000-01-01", " ".join(PEOPLE)),
    ("registeredAt", "LT", "2000-01-01T00:00:00Z", ""),
    ("updatedAt", "GTE", "2000-01-01T00:00:00+02:00", " ".join(PEOPLE)),
    ("updatedAt", "BETWEEN", [946684800000, 32503680000000], " ".join(PEOPLE)),
    ("updatedAt", "BETWEEN", ["946684800000", "32503680000000"], " ".join(PEOPLE)),
    ("updatedAt", "BETWEEN", [0, 946684800000], ""),
    # Null.
    ("base.dob", "IS_NULL", None, "dino mario none"),
    ("base.dob", "IS_NOT_NULL", None, "ada bea carl"),
    ("base.dob", "IS_NULL", "", "dino mario none"),
    ("base.address", "IS_NULL", None, "dino mario none"),
    ("base.address", "IS_NOT_NULL", None, "ada bea carl"),
    ("base.contacts.email", "IS_NOT_NULL", "", "ada bea carl"),
    ("tags.manual", "IS_NOT_NULL", None, "ada bea"),
    ("extended.colour", "IS_NULL", None, "dino mario none"),
    ("extra", "IS_NULL", None, "bea dino mario none"),
    # IN works in both directions: the two sets intersect.
    ("tags.manual", "IN", "vip", "ada bea"),
    ("tags.auto", "IN", "cold", "carl"),
    ("tags.manual", "IN", ["news", "other"], "ada"),
    ("base.firstName", "IN", ["Ada", "Carl", "Nobody"], "ada carl"),
    ("base.firstName", "IN", "Ada", "ada"),
    ("externalId", "IN", ["bea", "none"], "bea none"),
    ("base.jobs.companyName", "IN", ["Acme"], "ada"),
    ("extended.sizes", "IN", 38, "ada"),
    ("extended.sizes", "IN", [40, 99], "ada bea"),
    ("extended.sizes", "IN", "40", "ada bea"),
    ("base.firstName", "IN", [], ""),
    ("extended.points", "IN", [5, -1], "ada carl"),
]


@pytest.mark.parametrize("attribute, operator, value, expected", ATOMIC, ids=lambda value: str(value)[:40])
def test_atomic_conditions(crowd, attribute, operator, value, expected):
    condition = atomic(attribute, operator) if value is None else atomic(attribute, operator, value)
    found = names(search(crowd, container(simple(condition))))
    assert len(found) == len(set(found)), "nobody is listed twice"
    if expected is not None:
        assert set(found) == people_of(expected), f"{attribute} {operator} {value!r} finds {expected!r}"


def test_not_equals_and_not_in_leave_out_what_equals_and_in_find(crowd):
    for positive, negative, attribute, value in (("EQUALS", "NOT_EQUALS", "base.firstName", "Ada"), ("IN", "NOT_IN", "tags.manual", "vip"),
                                                 ("IN", "NOT_IN", "base.firstName", ["Ada", "Bea"])):
        with_it = set(names(search(crowd, container(simple(atomic(attribute, positive, value))))))
        without = set(names(search(crowd, container(simple(atomic(attribute, negative, value))))))
        assert with_it and without and not with_it & without, f"{negative} is the opposite of {positive}"
        filled = {name for name in names(search(crowd, container(simple(atomic(attribute, "IS_NOT_NULL")))))}
        assert filled - with_it <= without, f"{negative} finds everybody who has another value"


def test_id_and_node_id(crowd):
    _, node, made = crowd
    assert names(search(crowd, container(simple(atomic("id", "EQUALS", made["bea"]["id"]))))) == ["bea"]
    assert set(names(search(crowd, container(simple(atomic("id", "IN", [made["ada"]["id"], made["bea"]["id"]])))))) == {"ada", "bea"}
    assert set(names(search(crowd, container(simple(atomic("nodeId", "EQUALS", node)))))) == EVERYBODY
    assert set(names(search(crowd, container(simple(atomic("nodeId", "IN", [node])))))) == EVERYBODY
    assert names(search(crowd, container(simple(atomic("id", "EQUALS", "not-existing"))))) == []


def test_registered_at_as_answered(crowd):
    _, _, made = crowd
    stamp = made["carl"]["registeredAt"]
    later = set(names(search(crowd, container(simple(atomic("registeredAt", "GTE", stamp))))))
    assert {"carl", "dino", "mario", "none"} <= later, "dates are searched as they were answered"


ROME = atomic("base.address.city", "EQUALS", "Rome")
VIP = atomic("tags.manual", "IN", "vip")
HOT = atomic("tags.auto", "IN", "hot")
MARIO = atomic("base.firstName", "EQUALS", "Mario")

NESTED = [
    ("and", simple(both(ROME, VIP)), "ada"),
    ("or", simple(either(VIP, MARIO)), "ada bea mario"),
    ("or in and", simple(both(HOT, either(VIP, atomic("extra", "EQUALS", "5")))), "ada carl"),
    ("and in or in and", simple(both(HOT, either(MARIO, both(ROME, atomic("base.gender", "IS_NULL"))))), "carl"),
    ("one condition", simple(both(ROME)), "ada carl"),
    ("same attribute", simple(both(atomic("extended.points", "GT", 0), atomic("extended.points", "LT", 10))), "ada"),
    ("intersect", combined("INTERSECT", simple(ROME), simple(VIP)), "ada"),
    ("union", combined("UNION", simple(VIP), simple(MARIO)), "ada bea mario"),
    ("except", combined("EXCEPT", simple(ROME), simple(VIP)), "carl"),
    ("except the rest", combined("EXCEPT", simple(atomic("enabled", "EQUALS", True)), simple(ROME), simple(MARIO)), "bea none"),
    ("one query", combined("UNION", simple(VIP)), "ada bea"),
    ("combined in combined", combined("INTERSECT", combined("UNION", simple(ROME)), simple(HOT)), "ada carl"),
    ("deep", combined("UNION", combined("EXCEPT", simple(VIP), combined("INTERSECT", simple(VIP), simple(ROME))), simple(MARIO)), "bea mario"),
    ("nobody", combined("INTERSECT", simple(MARIO), simple(ROME)), ""),
    ("same twice", combined("UNION", simple(VIP), simple(VIP)), "ada bea"),
]


@pytest.mark.parametrize("query, expected", [row[1:] for row in NESTED], ids=[row[0] for row in NESTED])
def test_nesting(crowd, query, expected):
    found = names(search(crowd, container(query)))
    assert set(found) == people_of(expected) and len(found) == len(set(found))


def test_many_conditions(crowd):
    conditions = [atomic("base.firstName", "EQUALS", f"Nobody{number}") for number in range(60)] + [MARIO]
    assert names(search(crowd, container(simple(either(*conditions))))) == ["mario"]


@pytest.mark.parametrize("query", [
    {"query": simple(MARIO)}, {"name": "", "query": simple(MARIO)}, {"name": None, "query": simple(MARIO)},
    {"query": {**simple(MARIO), "name": "query"}}, {"query": {**combined("UNION", simple(MARIO)), "name": "query"}},
    {"name": "x", "query": simple(MARIO), "more": {"unknown": [1]}}, {"query": {**simple({**MARIO, "unknown": 1}), "unknown": 2}},
    {"query": {"type": "simple", "are": {"condition": MARIO, "x": 1}, "did": None}}], ids=range(8))
def test_names_are_optional_and_unknown_keys_are_ignored(crowd, query):
    assert names(search(crowd, query)) == ["mario"]


def test_query_and_external_id_together(crowd):
    assert names(search(crowd, container(simple(ROME)), externalId="carl")) == ["carl"]
    assert names(search(crowd, container(simple(ROME)), externalId="bea")) == []


def deep(levels):
    """As text: so much nesting is too much for Python's own writer."""
    opening = '{"type":"composite","conjunction":"and","conditions":['
    return '{"query":{"type":"simple","are":{"condition":' + opening * levels + json.dumps(MARIO) + "]}" * levels + "}}}"


BAD_QUERIES = [
    "{", "", "null", "[]", "5", '"x"', "{}", '{"query":null}', '{"query":{}}', '{"query":{"type":"simple"}}',
    '{"query":{"type":"simple","are":{}}}', '{"query":{"type":"other"}}', '{"query":{"type":"combined","conjunction":"UNION"}}',
    json.dumps(container(combined("union", simple(MARIO)))), json.dumps(container(combined("XOR", simple(MARIO)))),
    json.dumps(container({"type": "combined", "conjunction": "UNION", "queries": {}})),
    json.dumps(container(simple({"type": "composite", "conjunction": "xor", "conditions": [MARIO]}))),
    json.dumps(container(simple({"type": "composite", "conjunction": "and"}))),
    json.dumps(container(simple({"type": "atomic", "operator": "EQUALS", "value": 1}))),
    json.dumps(container(simple({"type": "atomic", "attribute": "extra", "value": 1}))),
    json.dumps(container(simple(atomic("extra", "SOUNDS_LIKE", "x")))), json.dumps(container(simple(atomic("extra", 5, "x")))),
    json.dumps(container(simple(atomic("", "EQUALS", "x")))), json.dumps(container(simple(atomic(5, "EQUALS", "x")))),
    json.dumps(container(simple(atomic("base..firstName", "EQUALS", "x")))),
    json.dumps(container(simple(atomic("extended.points", "BETWEEN", 5)))), json.dumps(container(simple(atomic("extended.points", "BETWEEN", [5])))),
    json.dumps(container(simple(atomic("extended.points", "BETWEEN", [1, 2, 3])))),
    json.dumps(container(simple(atomic("extra", "EQUALS", {"a": 1})))),
    deep(100), deep(200), deep(250), "{" * 2000, json.dumps(container(simple(MARIO)))[:-1], json.dumps(container(simple(MARIO))) + "x",
    '{"query":{"type":"simple","are":{"condition":{"type":"atomic","attribute":"extra","operator":"EQUALS","value":"\\ud800"}}}}',
    '{"query":{"type":"simple","are":{"condition":{"type":"atomic","attribute":"extra","operator":"EQUALS","value":"a\\u0000b"}}}}',
]
# The empty text stands for no query at all in some clients.
LENIENT = {""}


@pytest.mark.parametrize("text", BAD_QUERIES, ids=range(len(BAD_QUERIES)))
def test_bad_queries_are_400(crowd, text):
    client, node, _ = crowd
    answer = client.get("customers", {"nodeId": node, "query": text})
    if text in LENIENT and answer.status == 200:
        return
    # Whole requests have a limit, too, and a body that says so.
    check_error(answer, (400, 431) if len(text) > 8000 else 400)


def test_a_value_that_a_client_left_out_is_no_fault(crowd):
    """One client library omits 0, false and the empty text."""
    for attribute in ("extended.visits", "extended.member", "base.firstName"):
        check_page(search(crowd, container(simple(atomic(attribute, "EQUALS")))))


def test_hostile_text_is_a_value(crowd):
    for text in ("'; DROP TABLE customers; --", "%", "_", "\\", "$1", "')", "a' OR '1'='1", "\n", "é" * 100):
        assert names(search(crowd, container(simple(atomic("base.firstName", "EQUALS", text))))) == []
        assert names(search(crowd, container(simple(atomic("base.firstName", "IN", [text]))))) == []


@pytest.mark.parametrize("attribute", ["base.firstName' OR '1'='1", "base.\"x\"", "a.b.c.d.e.f.g.h", "base.firstName; --", "x" * 3000])
def test_hostile_attributes_find_nobody(crowd, attribute):
    answer = search(crowd, container(simple(atomic(attribute, "EQUALS", "x"))))
    if answer.status == 200:
        assert names(answer) == []
    else:
        check_error(answer, 400)


# --- order -------------------------------------------------------------------------------------------------------------------------------


def test_default_order_is_last_update_first(crowd):
    listed = check_page(search(crowd))
    stamps = [instant(customer["updatedAt"]) for customer in listed]
    assert stamps == sorted(stamps, reverse=True) and {customer["externalId"] for customer in listed} == EVERYBODY


@pytest.mark.parametrize("sort, expected", [
    ("base.firstName", "ada bea carl dino mario none"), ("base.firstName,asc", "ada bea carl dino mario none"),
    ("base.firstName,desc", "mario dino carl bea ada none"), ("base.firstName,DESC", "mario dino carl bea ada none"),
    ("base.firstName,Asc", "ada bea carl dino mario none"), ("externalId,desc", "none mario dino carl bea ada"),
    ("registeredAt,desc", "none mario dino carl bea ada"), ("registeredAt", "ada bea carl dino mario none"),
    ("extended.points", "carl ada bea"), ("extended.points,desc", "bea ada carl"),
    ("base.contacts.email,desc", "carl bea ada"), ("base.contacts.email,asc", "ada bea carl"),
    ("base.dob,desc", "carl bea ada"), ("extended.visits,asc", "bea ada carl")])
def test_sort_puts_missing_values_last(crowd, sort, expected):
    found = names(search(crowd, sort=sort))
    expected = expected.split()
    assert found[:len(expected)] == expected, f"sort={sort}: missing values come last in both directions"
    assert set(found) == EVERYBODY


def test_several_sorts(crowd):
    client, node, _ = crowd
    answer = client.get("customers", [("nodeId", node), ("size", 50), ("sort", "base.address.city,desc"), ("sort", "base.firstName,desc")])
    assert names(answer)[:3] == ["carl", "ada", "bea"], "sort can be repeated, the first one leads"


@pytest.mark.parametrize("sort", ["base.firstName,up", "base.firstName,asc,desc", ",asc", "base.firstName'; --,asc"])
def test_bad_sort(crowd, sort):
    check_error(search(crowd, sort=sort), 400)


# --- fields --------------------------------------------------------------------------------------------------------------------------------


def test_fields_keep_the_shape_and_null_the_rest(crowd):
    client, _, made = crowd
    [ada] = check_page(search(crowd, externalId="ada", fields="base.firstName,base.address.city"))
    assert set(ada) == CUSTOMER_FIELDS and set(ada["base"]) == BASE_TEXTS | BASE_OBJECTS | BASE_LISTS, "the shape stays complete"
    assert ada["id"] == made["ada"]["id"] and ada["registeredAt"] == made["ada"]["registeredAt"] and ada["updatedAt"]
    assert ada["base"]["firstName"] == "Ada" and ada["base"]["address"]["city"] == "Rome"
    assert ada["base"]["lastName"] is None and ada["base"]["dob"] is None, "a leaf that is not selected is null"
    assert not ada["extra"] and not (ada["tags"] or {}).get("manual") and not (ada["base"]["contacts"] or {}).get("email")
    assert client.get(f"customers/{ada['id']}").json["base"]["lastName"] == "Alfa"


def test_fields_of_whole_branches(crowd):
    [ada] = check_page(search(crowd, externalId="ada", fields="base.contacts,tags,extended.points"))
    assert ada["base"]["contacts"]["email"] == "ada@example.com" and ada["tags"]["manual"] == ["vip", "news"]
    assert ada["extended"]["points"] == 5 and not ada["extended"].get("colour") and ada["base"]["firstName"] is None


@pytest.mark.parametrize("fields", ["base.firstName, base.lastName", " base.firstName ,base.lastName\t", "base.firstName,  ,base.lastName"])
def test_blanks_around_fields_mean_nothing(crowd, fields):
    [ada] = check_page(search(crowd, externalId="ada", fields=fields))
    assert (ada["base"]["firstName"], ada["base"]["lastName"], ada["base"]["dob"]) == ("Ada", "Alfa", None)


def test_fields_of_list_items(crowd):
    [ada] = check_page(search(crowd, externalId="ada", fields="base.jobs.companyName"))
    assert [job["companyName"] for job in ada["base"]["jobs"]] == ["Acme", "Byte"]
    assert all(value is None for job in ada["base"]["jobs"] for name, value in job.items() if name != "companyName"), \
        "a leaf of an item that is not selected is null"
    [ada] = check_page(search(crowd, externalId="ada", fields="base.jobs"))
    assert [job["id"] for job in ada["base"]["jobs"]] == ["1", "2"]


def test_unknown_fields_select_nothing(crowd):
    [ada] = check_page(search(crowd, externalId="ada", fields="base.nothing"))
    assert ada["id"] and ada["base"]["firstName"] is None


# --- paging ----------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dozen(space):
    node = space.node(["externalId"])
    client = space.trusted(node)
    for number in range(23):
        check_ok(client.post("customers", {"nodeId": node, "externalId": f"n{number:02}"}), 201)
    return client, node


def test_default_size_is_ten(dozen):
    client, node = dozen
    assert len(check_page(client.get("customers", {"nodeId": node}), size=10, number=0, total=23)) == 10


def test_pages_hold_everybody_once(dozen):
    client, node = dozen
    listed = []
    for page in range(5):
        listed += [customer["externalId"] for customer in check_page(
            client.get("customers", {"nodeId": node, "size": 5, "page": page, "sort": "externalId"}), size=5, number=page, total=23)]
    assert listed == [f"n{number:02}" for number in range(23)]


@pytest.mark.parametrize("page", [3, 4, 7, 999])
def test_a_page_beyond_the_end_is_empty(dozen, page):
    client, node = dozen
    answer = client.get("customers", {"nodeId": node, "page": page})
    assert check_page(answer, size=10, number=page, total=23) == [], "a page at or beyond the end is 200 and empty"


def test_all_seven_fields_of_page(dozen):
    client, node = dozen
    page = check_ok(client.get("customers", {"nodeId": node, "size": 50}))["page"]
    assert set(page) == PAGE_FIELDS and page["totalPages"] == 1 and page["maxElements"] > 0 and page["maxPages"] > 0


@pytest.mark.parametrize("query", [{"size": -1}, {"size": "x"}, {"size": "1.5"}, {"size": 51}, {"size": 10 ** 20}, {"page": -1},
                                   {"page": "x"}, {"page": "1e3"}, {"page": 10 ** 20}], ids=str)
def test_bad_paging(dozen, query):
    client, node = dozen
    check_error(client.get("customers", {"nodeId": node, **query}), 400)


def test_node_id_is_required(dozen):
    client, _ = dozen
    check_error(client.get("customers"), 400)


def test_a_new_customer_is_found_at_once(dozen):
    client, node = dozen
    for _ in range(10):
        value = unique("fresh")
        made = check_ok(client.post("customers", {"nodeId": node, "externalId": value}), 201)
        assert check_page(client.get("customers", {"nodeId": node, "externalId": value})) == [made], "after a 201 every search sees it"
        client.delete(f"customers/{made['id']}")
        assert check_page(client.get("customers", {"nodeId": node, "externalId": value})) == [], "after a 200 no search sees it"
