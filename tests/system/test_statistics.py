"""The analytics operations: their figures equal what the test wrote."""

import collections
import datetime

import pytest

from client import eventually, unique
from contract import check_empty, check_error, check_ok

SETTLE = 20.0  # counters follow the tables a moment later
START, END = "2024-03-01T00:00:00Z", "2024-04-30T12:00:00Z"


def series(answer):
    """(category, context) -> {day: value}, without the empty days."""
    return {(one["category"], one.get("context")): {point["datetime"]: point["value"] for point in one["values"] if int(point["value"])}
            for one in answer["data"]}


def counters(answer):
    return {one["name"]: one for one in answer["data"]}


class Shop:
    def __init__(self, space):
        self.admin = space.admin
        self.node = space.node(["externalId"])
        self.client = space.trusted(self.node)
        self.orders = []

    def stat(self, name, **parameters):
        return check_ok(self.admin.get(f"stats/{name}", {"nodeId": self.node, **parameters}))

    def customer(self, **base):
        return check_ok(self.client.post("customers", {"nodeId": self.node, "externalId": unique(), "base": base}), 201)["id"]

    def event(self, kind, date, properties=None, context="ECOMMERCE", **who):
        body = {"type": kind, "context": context, "date": date, "properties": properties or {}, **who}
        return check_ok(self.client.post("events", body), 202)["id"]

    def order(self, customer, date, revenue, quantity, kind="sale", context="ECOMMERCE"):
        return self.event("completedOrder", date, {
            "orderId": unique(), "type": kind, "amount": {"revenue": revenue, "total": revenue + 1},
            "products": [{"type": "return" if kind == "return" else "sale", "name": "x", "quantity": quantity}]},
            context, customerId=customer)

    def settled(self, name, expected, look, **parameters):
        eventually(lambda: look(self.stat(name, **parameters)) == expected, timeout=SETTLE, pause=0.2)
        return self.stat(name, **parameters)


@pytest.fixture(scope="module")
def shop(space):
    shop = Shop(space)
    shop.both = shop.customer(contacts={"email": "a@example.com", "mobilePhone": "1"})
    shop.mail = shop.customer(contacts={"email": "b@example.com"})
    shop.none = shop.customer()
    shop.order(shop.both, "2024-03-05T10:00:00Z", 10.10, 2)
    shop.order(shop.both, "2024-03-15T10:00:00Z", 20.20, 1, context="RETAIL")
    shop.order(shop.mail, "2024-03-31T22:30:00Z", 5.05, 4)  # 1 April in Rome, where summer time has begun
    shop.order(shop.both, "2024-04-01T10:00:00Z", 3.03, 1, kind="return")
    session = unique()
    for moment in ("2024-03-05T10:00:00Z", "2024-03-05T11:00:00Z"):
        shop.event("viewedPage", moment, {"url": "u"}, "WEB",
                   bringBackProperties={"type": "SESSION_ID", "value": session, "nodeId": shop.node})
    shop.event("viewedPage", "2024-03-06T10:00:00Z", {"url": "u"}, "WEB", customerId=shop.none)
    shop.event("loggedIn", "2024-03-06T10:00:00Z", {}, "WEB", customerId=shop.none)
    shop.settled("events-kpi/web", 3, lambda answer: int(answer["data"][0]["values"][0]["value"]), start=START, end=END)
    return shop


def test_customers(shop):
    answer = shop.settled("customers-snapshot", 3, lambda answer: answer["data"]["values"][0]["value"])
    assert answer == {"parameters": {"nodeId": shop.node},
                      "data": {"category": "CustomersSnapshot", "type": "keyValue", "values": [{"key": "total", "value": 3}]}}
    channels = shop.stat("communication-channels")["data"]
    assert channels == {"category": "communicationChannels", "type": "keyValue", "values": [
        {"key": "emailMobile", "value": "1"}, {"key": "emailOnly", "value": "1"}, {"key": "mobileOnly", "value": "0"},
        {"key": "notReachable", "value": "1"}]}
    added = shop.stat("added-customers")
    assert added["parameters"]["mode"] == "MONTHLY" and len(added["data"]) == 1
    assert added["data"][0]["category"] == "addedCustomers" and added["data"][0]["type"] == "timeseries"
    assert len(added["data"][0]["values"]) == 13 and sum(point["value"] for point in added["data"][0]["values"]) == 3
    assert all(point["datetime"].endswith("-01") for point in added["data"][0]["values"])
    weekly = shop.stat("added-customers", mode="WEEKLY")["data"][0]["values"]
    assert all(datetime.date.fromisoformat(point["datetime"]).weekday() == 0 for point in weekly)
    assert sum(point["value"] for point in shop.stat("updated-customers", type="UPDATED")["data"][0]["values"]) == 3


def test_workspace_and_nodes(shop):
    info = check_ok(shop.admin.get("stats/info"))
    assert set(info) == {"id", "name", "status", "customers"} and info["status"] == "ENABLED" and info["customers"] >= 3
    nodes = check_ok(shop.admin.get("stats/nodes", {"size": 50}))
    [mine] = [node for node in nodes["elements"] if node["id"] == shop.node]
    assert mine["customers"] == 3 and mine["type"] == "ENTRY"
    assert nodes["page"]["size"] == 50


def test_purchases(shop):
    values = counters(shop.stat("events-kpi/purchases", start=START, end=END))
    assert list(values) == ["totalRevenue", "averageOrderValue", "averageItemPrice", "orders", "items", "returns", "buyers",
                            "repeatBuyers"]
    assert values["totalRevenue"] == {"name": "totalRevenue", "type": "currency", "currency": "EUR", "value": "32.32", "total": "34.32"}
    assert values["averageOrderValue"]["value"] == "10.77"
    assert [values[name]["value"] for name in ("orders", "items", "returns", "buyers", "repeatBuyers")] == ["3", "6", "1", "2", "1"]
    retail = counters(shop.stat("events-kpi/purchases", start=START, end=END, type="RETAIL"))
    assert retail["totalRevenue"]["value"] == "20.20" and retail["orders"]["value"] == "1"
    march = counters(shop.stat("events-kpi/purchases", start=START, end="2024-03-31T12:00:00Z"))
    assert march["totalRevenue"]["value"] == "30.30"


def test_ecommerce_and_web(shop):
    values = counters(shop.stat("events-kpi/ecommerce", start=START, end=END))
    assert values["totalSales"]["value"] == "12.12" and values["orders"]["value"] == "2"
    assert values["cartAbandonmentRate"] == {"name": "cartAbandonmentRate", "type": "percent", "value": "0.00"}
    web = {one["name"]: one["values"][0]["value"] for one in shop.stat("events-kpi/web", start=START, end=END)["data"]}
    assert web == {"pageViews": 3, "visitors": 2, "sessions": 1, "clickedLinks": 0, "compiledForms": 0, "logins": 1, "searches": 0}


def test_types_and_contexts(shop):
    found = series(shop.stat("event-type-context-distribution", start=START, end=END))
    assert found == {
        ("completedOrder", "ECOMMERCE"): {"2024-03-05": 1, "2024-04-01": 2}, ("completedOrder", "RETAIL"): {"2024-03-15": 1},
        ("viewedPage", "WEB"): {"2024-03-05": 2, "2024-03-06": 1}, ("loggedIn", "WEB"): {"2024-03-06": 1}}
    assert set(series(shop.stat("event-type-context-distribution", start=START, end=END, context="RETAIL"))) == {("completedOrder", "RETAIL")}


def test_one_customer(shop):
    path = f"customers/{shop.both}/stats"
    answer = check_ok(shop.admin.get(f"{path}/event-category-distribution", {"start": START, "end": END, "mode": "MONTHLY"}))
    assert series(answer) == {("purchase", None): {"2024-03-01": "2", "2024-04-01": "1"}}
    values = counters(check_ok(shop.admin.get(f"{path}/buying-behaviors", {"start": START, "end": END})))
    assert values["totalSpending"] == {"name": "totalSpending", "type": "currency", "currency": "EUR", "value": "27.27",
                                       "total": "28.27", "revenue": "27.27"}
    assert values["maxOrderValue"]["value"] == "20.20"
    assert [values[name]["value"] for name in ("orders", "items", "returns", "daysSinceLastOrder", "averageDaysBetweenOrders")] == \
        ["2", "2", "1", "46", "10"]
    check_error(shop.admin.get("customers/00000000-0000-4000-8000-000000000000/stats/buying-behaviors"), 404)


def test_deleted_and_changed_events(shop):
    customer = shop.customer()
    event = shop.event("searched", "2024-03-10T10:00:00Z", {}, "WEB", customerId=customer)
    kept = shop.event("searched", "2024-03-10T10:00:00Z", {}, "WEB", customerId=customer)
    eventually(lambda: shop.admin.get(f"events/{kept}").status == 200 and shop.admin.get(f"events/{event}").status == 200)
    check_empty(shop.client.delete(f"events/{event}"), 204)
    check_ok(shop.client.patch(f"events/{kept}", {"date": "2024-04-10T10:00:00Z"}), 202)

    def days(answer):
        return series(answer).get(("searched", "WEB"))
    shop.settled("event-type-context-distribution", {"2024-04-10": 1}, days, start=START, end=END)

    def total(kind):
        return sum(sum(points.values()) for (name, _), points in series(shop.stat("updated-events", type=kind)).items() if name == "searched")
    eventually(lambda: (total("ADDED"), total("UPDATED"), total("DELETED")) == (1, 1, 1), timeout=SETTLE, pause=0.2)
    check_empty(shop.client.delete(f"customers/{customer}"))
    shop.settled("customers-snapshot", 3, lambda answer: answer["data"]["values"][0]["value"])
    shop.settled("updated-customers", 1, lambda answer: sum(point["value"] for point in answer["data"][0]["values"]), type="DELETED")


def test_a_range_that_is_too_wide_begins_later(shop):
    answer = shop.stat("added-customers", start="2000-01-01T00:00:00Z", end="2024-02-29T00:00:00Z", mode="DAILY")
    assert answer["parameters"]["start"] == "2023-02-28T00:00:00.000+0000"
    assert len(answer["data"][0]["values"]) == 367
    assert collections.Counter(point["value"] for point in answer["data"][0]["values"]) == {0: 367}
    deleted = shop.stat("updated-customers", type="DELETED", start="2020-01-01T00:00:00Z", end="2024-03-31T00:00:00Z")
    assert deleted["parameters"]["start"] == "2024-02-29T00:00:00.000+0000"


@pytest.mark.parametrize("name, parameters, path", [
    ("added-customers", {"mode": "YEARLY"}, "/mode"), ("added-customers", {"start": "yesterday"}, "/start"),
    ("added-customers", {"start": END, "end": START}, "/start"), ("updated-events", {"type": "GONE"}, "/type"),
    ("event-type-context-distribution", {"context": "MOON"}, "/context"), ("events-kpi/purchases", {"type": "WEB"}, "/type"),
])
def test_bad_parameters(shop, name, parameters, path):
    error = check_error(shop.admin.get(f"stats/{name}", parameters), 400)
    assert [problem["path"] for problem in error["errors"]] == [path]


def test_unknown_node(shop):
    check_error(shop.admin.get("stats/customers-snapshot", {"nodeId": "nobody"}), 404, "node not found nobody")
