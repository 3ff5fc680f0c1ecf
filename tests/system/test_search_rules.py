"""Searches where the contract leaves the rule to the server: `did`, LIKE, and where an error points."""

import json

import pytest

from client import eventually
from contract import check_error, check_ok, check_page

ORDER = {"type": "completedOrder", "context": "WEB", "contextInfo": {}, "date": "2021-03-01T10:00:00Z", "properties": {
    "orderId": "1", "type": "sale", "amount": {"total": 19.99}, "products": [
        {"id": "p1", "sku": "s1", "name": "One", "price": 10, "quantity": 1}, {"id": "p2", "sku": "s2", "name": "Two", "price": 9.99, "quantity": 1}]}}


@pytest.fixture(scope="module")
def buyers(space):
    """(client, node): b has an order, s has seen a page, n has done nothing."""
    node = space.node(["externalId"])
    client = space.trusted(node)
    made = {name: check_ok(client.post("customers", {"nodeId": node, "externalId": name, "base": {"lastName": f"{name}%_x"}}), 201)
            for name in "bsn"}
    check_ok(client.post("events", {**ORDER, "customerId": made["b"]["id"]}), 202)
    check_ok(client.post("events", {"type": "viewedPage", "context": "WEB", "contextInfo": {}, "properties": {"url": "http://x.example"},
                                    "customerId": made["s"]["id"]}), 202)

    def stored():
        for name in "bs":
            assert len(check_page(client.get("events", {"customerId": made[name]["id"]}))) == 1
    eventually(stored)
    return client, node


def search(buyers, query):
    client, node = buyers
    return client.get("customers", {"nodeId": node, "query": json.dumps({"query": query}), "sort": "externalId"})


def names(answer):
    return "".join(customer["externalId"] for customer in check_page(answer))


def atomic(attribute, operator, value):
    return {"type": "atomic", "attribute": attribute, "operator": operator, "value": value}


def did(event, **more):
    return {"type": "simple", "did": {"event": {"name": event}, **more}}


def are(condition):
    return {"type": "simple", "are": {"condition": condition}}


@pytest.mark.parametrize("query, expected", [
    (did("completedOrder"), "b"), (did("viewedPage"), "s"), (did("searched"), ""),
    (did("completedOrder", timeframe=atomic("date", "BETWEEN", ["2021-03-01", "2021-03-02"])), "b"),
    (did("completedOrder", timeframe=atomic("date", "BETWEEN", [1614600000000, 1614700000000])), ""),
    (did("completedOrder", condition=atomic("properties.products.sku", "EQUALS", "s2")), "b"),
    (did("completedOrder", condition=atomic("properties.amount.total", "GTE", "19.99")), "b"),
    (did("completedOrder", condition=atomic("properties.amount.total", "GT", 19.99)), ""),
    ({**did("completedOrder"), **are(atomic("externalId", "EQUALS", "s"))}, ""),
    ({"type": "combined", "conjunction": "EXCEPT", "queries": [are(atomic("enabled", "EQUALS", True)), did("completedOrder")]}, "ns"),
])
def test_did(buyers, query, expected):
    assert names(search(buyers, query)) == expected


@pytest.mark.parametrize("pattern, expected", [("b%", "b"), ("_%x", "bns"), ("b", ""), ("b\\%\\_x", "b"), ("B%", "")])
def test_like(buyers, pattern, expected):
    assert names(search(buyers, are(atomic("base.lastName", "LIKE", pattern)))) == expected


HERE = "/query/are/condition"


@pytest.mark.parametrize("query, pointer", [
    ({"type": "simple"}, "/query"), ({"type": "x"}, "/query/type"), (are({}), HERE + "/type"),
    (are(atomic("base.x", "EQUALS", 1)), HERE + "/attribute"), (are(atomic("extra", "IS", 1)), HERE + "/operator"),
    (are(atomic("base.dob", "IN", ["2020-01-01", "never"])), HERE + "/value/1"),
    (are({"type": "composite", "conjunction": "or", "conditions": [atomic("extra", "EQUALS", "a"), atomic("tags", "EQUALS", "a")]}),
     HERE + "/conditions/1/operator"),
    (did("party"), "/query/did/event/name"), (did("searched", timeframe=atomic("dob", "GT", 1)), "/query/did/timeframe/attribute"),
])
def test_errors_point_into_the_query(buyers, query, pointer):
    check_error(search(buyers, query), 400, pointer=pointer)


def test_bounds_of_a_query(buyers):
    client, node = buyers
    many = {"type": "composite", "conjunction": "or", "conditions": [{"type": "atomic", "attribute": "extra", "operator": "IS_NULL"}] * 101}
    check_error(search(buyers, are(many)), 400, pointer=HERE + "/conditions/100")
    check_error(client.get("customers", {"nodeId": node, "sort": "id,id,id,id,id"}), 400, pointer="/sort")
    check_error(client.get("customers"), 400, pointer="/nodeId")
