"""The analytics operations: their figures equal what the test wrote."""

import collections
import datetime
import decimal
import random
import zoneinfo

import pytest

from aggregates import Aggregate
from client import eventually, unique
from conftest import make_user
from contract import CONTEXTS, check_empty, check_error, check_ok, check_page

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


def test_the_time_zone_and_currency_of_the_workspace(make_space):
    """Half an hour before midnight in London the next day has begun in Rome."""
    shop = Shop(make_space("zone"))
    customer = shop.customer()
    shop.order(customer, "2026-03-10T23:30:00Z", 10, 1)
    day = {"start": "2026-03-11T12:00:00Z", "end": "2026-03-11T12:00:00Z"}

    def orders(answer):
        return counters(answer)["orders"]["value"]
    shop.settled("events-kpi/purchases", "1", orders, **day)
    check_ok(shop.admin.put("configuration", {"timezone": "Europe/London", "currency": "USD"}))
    shop.settled("events-kpi/purchases", "0", orders, **day)
    found = counters(shop.stat("events-kpi/purchases", start="2026-03-10T12:00:00Z", end="2026-03-10T12:00:00Z"))
    assert found["orders"]["value"] == "1" and found["totalRevenue"]["currency"] == "USD"


# --- a history that the test counts itself ---

ZONE = zoneinfo.ZoneInfo("Europe/Rome")  # of a workspace that has no other
UTC = datetime.timezone.utc
CATEGORIES = {"completedOrder": "purchase", "abandonedCart": "ecommerce", "addedProduct": "ecommerce", "viewedProduct": "ecommerce",
              "viewedPage": "web", "searched": "web", "loggedIn": "web", "clickedLink": "web", "formCompiled": "web",
              "openedTicket": "contactCenter"}
WEB = {"pageViews": "viewedPage", "clickedLinks": "clickedLink", "compiledForms": "formCompiled", "logins": "loggedIn",
       "searches": "searched"}
# Moments around which a day, week, month, year or the summer time begins in Rome.
BORDERS = ("1966-05-22T00:00", "2023-03-26T00:00", "2023-12-31T23:00", "2024-01-01T00:00", "2024-02-29T00:00", "2024-03-01T00:00",
           "2024-03-31T00:00", "2024-03-31T22:00", "2024-04-01T00:00", "2024-10-27T00:00", "2024-10-27T23:00", "2024-12-30T00:00",
           "2024-12-31T23:00")
Event = collections.namedtuple("Event", "type context when customer kind revenue total quantity")


def money(amount):
    return str(decimal.Decimal(amount).quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP))


def share(part, whole):
    return decimal.Decimal(part) / whole if whole else decimal.Decimal(0)


def day_of(moment):
    return moment.astimezone(ZONE).date()


def step_of(day, mode):
    if mode == "WEEKLY":
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if mode == "MONTHLY" else day


def steps_of(first, last, mode):
    """Every step that a range touches."""
    days = (first + datetime.timedelta(days=n) for n in range((last - first).days + 1))
    return sorted({step_of(day, mode) for day in days})


class History:
    def __init__(self, shop, seed):
        self.random = random.Random(seed)
        self.shop = shop
        self.customers = [shop.customer() for _ in range(4)]
        self.events = [self.write(border) for border in BORDERS for _ in range(7)]

    def write(self, border):
        dice = self.random
        when = datetime.datetime.fromisoformat(border).replace(tzinfo=UTC) + dice.choice((-1, 0, 1)) * datetime.timedelta(
            milliseconds=dice.choice((1, 1000, 3600_000, 7200_000, 80_000_000)))
        event = Event(dice.choice(("completedOrder", *CATEGORIES)), dice.choice(("ECOMMERCE", "RETAIL", "WEB")), when,
                      dice.choice(self.customers), dice.choice(("sale", "sale", "return")),
                      decimal.Decimal(dice.randrange(10000)) / 100, decimal.Decimal(dice.randrange(10000)) / 100, dice.randrange(5))
        properties = {}
        if event.type in ("completedOrder", "abandonedCart"):
            properties = {"orderId": unique(), "amount": {"revenue": float(event.revenue), "total": float(event.total)},
                          "products": [{"quantity": event.quantity, "type": event.kind}]}
        if event.type == "completedOrder":
            properties["type"] = event.kind
        self.shop.event(event.type, when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z", properties, event.context,
                        customerId=event.customer)
        return event

    def during(self, first, last, **wanted):
        return [event for event in self.events if first <= day_of(event.when) <= last
                and all(getattr(event, name) == value for name, value in wanted.items())]


def moment(day, hour=12):
    """A moment of that day in Rome, as a parameter."""
    return datetime.datetime.combine(day, datetime.time(hour), ZONE).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def history(space):
    history = History(Shop(space), 20240331)
    everything = {"start": "1960-01-01T00:00:00Z", "end": "2025-12-31T00:00:00Z"}
    orders = [event for event in history.events if event.type == "completedOrder"]
    count = str(sum(event.kind == "sale" for event in orders)), str(sum(event.kind == "return" for event in orders))
    history.shop.settled("events-kpi/purchases", count, lambda answer: tuple(
        counters(answer)[name]["value"] for name in ("orders", "returns")), **everything)
    views = sum(event.type == "viewedPage" for event in history.events)
    history.shop.settled("events-kpi/web", views, lambda answer: answer["data"][0]["values"][0]["value"], **everything)
    eventually(lambda: sum(int(point["value"]) for one in history.shop.stat("updated-events")["data"] for point in one["values"])
               == len(history.events), timeout=SETTLE, pause=0.2)
    return history


RANGES = [(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)) for first, last in (
    ("2024-03-31", "2024-03-31"), ("2024-03-30", "2024-04-01"), ("2024-02-29", "2024-03-01"), ("2023-12-31", "2024-01-01"),
    ("2024-01-01", "2024-12-31"), ("1966-05-21", "1966-05-22"), ("2023-03-27", "2024-03-26"), ("2030-01-01", "2030-01-02"))]


def amounts(orders):
    sign = [(-1 if event.kind == "return" else 1, event) for event in orders]
    return (sum(s * event.revenue for s, event in sign), sum(s * event.total for s, event in sign),
            sum(s * event.quantity for s, event in sign))


@pytest.mark.parametrize("first, last", RANGES)
@pytest.mark.parametrize("kind", ["ALL", "ECOMMERCE", "RETAIL"])
def test_purchases_equal_what_was_written(history, first, last, kind):
    orders = history.during(first, last, type="completedOrder", **({} if kind == "ALL" else {"context": kind}))
    revenue, total, items = amounts(orders)
    sales = [event for event in orders if event.kind == "sale"]
    buyers = collections.Counter(event.customer for event in sales)
    found = counters(history.shop.stat("events-kpi/purchases", start=moment(first, 0), end=moment(last, 23), type=kind))
    assert {name: one["value"] for name, one in found.items()} == {
        "totalRevenue": money(revenue), "averageOrderValue": money(share(revenue, len(sales))),
        "averageItemPrice": money(share(revenue, items)), "orders": str(len(sales)), "items": str(items),
        "returns": str(len(orders) - len(sales)), "buyers": str(len(buyers)),
        "repeatBuyers": str(sum(n > 1 for n in buyers.values()))}
    assert [found[name]["total"] for name in ("totalRevenue", "averageOrderValue", "averageItemPrice")] == \
        [money(total), money(share(total, len(sales))), money(share(total, items))]


@pytest.mark.parametrize("first, last", RANGES)
def test_ecommerce_and_web_equal_what_was_written(history, first, last):
    there = history.during(first, last)
    shop = collections.Counter(event.type for event in there if event.context == "ECOMMERCE")
    orders = history.during(first, last, type="completedOrder", context="ECOMMERCE")
    revenue, total, _ = amounts(orders)
    sales = sum(event.kind == "sale" for event in orders)
    carts = sum(event.revenue for event in there if event.type == "abandonedCart" and event.context == "ECOMMERCE")
    visitors = len({event.customer for event in there if CATEGORIES[event.type] == "web"})
    found = counters(history.shop.stat("events-kpi/ecommerce", start=moment(first, 0), end=moment(last, 23)))
    assert {name: one["value"] for name, one in found.items()} == {
        "totalSales": money(revenue), "averageCart": money(share(revenue, sales)), "abandonedCartsValue": money(carts),
        "orders": str(sales), "abandonedCarts": str(shop["abandonedCart"]), "addedProducts": str(shop["addedProduct"]),
        "viewedProducts": str(shop["viewedProduct"]),
        "cartAbandonmentRate": money(share(100 * shop["abandonedCart"], shop["abandonedCart"] + sales)),
        "conversionRate": money(share(100 * sales, visitors))}
    assert found["totalSales"]["total"] == money(total)
    web = {one["name"]: one["values"][0]["value"]
           for one in history.shop.stat("events-kpi/web", start=moment(first, 0), end=moment(last, 23))["data"]}
    assert web == {"visitors": visitors, "sessions": 0,
                   **{name: sum(event.type == kind for event in there) for name, kind in WEB.items()}}


@pytest.mark.parametrize("first, last", RANGES)
@pytest.mark.parametrize("context", ["ALL", "ECOMMERCE", "RETAIL", "WEB", "IOT"])
def test_types_and_contexts_equal_what_was_written(history, first, last, context):
    answer = history.shop.stat("event-type-context-distribution", start=moment(first, 0), end=moment(last, 23), context=context)
    expected = collections.defaultdict(collections.Counter)
    for event in history.during(first, last):
        if context in ("ALL", event.context):
            expected[event.type, event.context][day_of(event.when).isoformat()] += 1
    assert series(answer) == expected
    days = [day.isoformat() for day in steps_of(first, last, "DAILY")]
    assert all([point["datetime"] for point in one["values"]] == days for one in answer["data"]), "days without events are there"


@pytest.mark.parametrize("mode", ["DAILY", "WEEKLY", "MONTHLY"])
@pytest.mark.parametrize("first, last", RANGES)
def test_one_customer_equals_what_was_written(history, first, last, mode):
    for customer in history.customers:
        answer = check_ok(history.shop.admin.get(f"customers/{customer}/stats/event-category-distribution", {
            "start": moment(first, 0), "end": moment(last, 23), "mode": mode}))
        expected = collections.defaultdict(collections.Counter)
        for event in history.during(first, last, customer=customer):
            expected[CATEGORIES[event.type], None][step_of(day_of(event.when), mode).isoformat()] += 1
        assert series(answer) == {name: {day: str(n) for day, n in days.items()} for name, days in expected.items()}
        steps = [step.isoformat() for step in steps_of(first, last, mode)]
        assert all([point["datetime"] for point in one["values"]] == steps for one in answer["data"]), "steps without events are there"


@pytest.mark.parametrize("first, last", RANGES)
def test_buying_behaviors_equal_what_was_written(history, first, last):
    for customer in history.customers:
        found = counters(check_ok(history.shop.admin.get(f"customers/{customer}/stats/buying-behaviors", {
            "start": moment(first, 0), "end": moment(last, 23)})))
        orders = history.during(first, last, customer=customer, type="completedOrder")
        revenue, total, items = amounts(orders)
        sales = sorted((event for event in orders if event.kind == "sale"), key=lambda event: event.when)
        end = datetime.datetime.fromisoformat(moment(last, 23).replace("Z", "+00:00"))
        gap = share((sales[-1].when - sales[0].when).total_seconds(), 86400 * (len(sales) - 1)) if len(sales) > 1 else 0
        assert {name: one["value"] for name, one in found.items() if name != "averageDaysBetweenOrders"} == {
            "totalSpending": money(revenue), "averageOrderValue": money(share(revenue, len(sales))),
            "maxOrderValue": money(max((event.revenue for event in sales), default=0)), "orders": str(len(sales)),
            "items": str(items), "returns": str(len(orders) - len(sales)),
            "daysSinceLastOrder": str(max((end - sales[-1].when).days, 0) if sales else 0)}
        assert abs(decimal.Decimal(found["averageDaysBetweenOrders"]["value"]) - decimal.Decimal(gap)) <= decimal.Decimal("0.006")
        assert found["totalSpending"]["revenue"] == money(revenue) and found["totalSpending"]["total"] == money(total)


# --- who may see what ---

def test_a_caller_counts_the_nodes_that_it_may_read(space, shop):
    other = Shop(space)
    hidden = other.customer()
    other.settled("customers-snapshot", 1, lambda answer: answer["data"]["values"][0]["value"])
    reader = make_user(space.admin, ["USER"], "--workspace", space.id, "--node", shop.node, "--permission", "R",
                       "--node", other.node, "--permission", "W").in_workspace(space.id)
    mine = shop.stat("customers-snapshot")["data"]
    assert check_ok(reader.get("stats/customers-snapshot"))["data"] == mine
    assert check_ok(reader.get("stats/customers-snapshot", {"nodeId": shop.node}))["data"] == mine
    assert check_ok(reader.get("stats/info"))["customers"] == mine["values"][0]["value"]
    assert [node["id"] for node in check_page(reader.get("stats/nodes"))] == [shop.node]
    check_error(reader.get("stats/customers-snapshot", {"nodeId": other.node}), 403)
    check_error(reader.get(f"customers/{hidden}/stats/buying-behaviors"), 403)


@pytest.mark.parametrize("role", ["DPO", "PLATFORM_UPDATES"])
def test_roles_that_see_no_figures(users, space, role):
    client = users[role].in_workspace(space.id)
    for name in ("info", "nodes", "customers-snapshot", "events-kpi/web"):
        check_error(client.get(f"stats/{name}"), 403)


# --- nodes ---

def test_nodes_in_pages(space, shop):
    every = check_page(space.admin.get("stats/nodes", {"size": 50}))
    assert [node["id"] for number in range(len(every)) for node in check_page(
        space.admin.get("stats/nodes", {"size": 1, "page": number}))] == [node["id"] for node in every]
    assert check_page(space.admin.get("stats/nodes", {"page": 1000})) == []
    assert check_ok(space.admin.get("stats/nodes"))["page"]["size"] == 20
    [one] = [node for node in every if node["id"] == shop.node]
    assert set(one) == {"id", "name", "type", "customers", "plan", "send"} and one["plan"] in (None, False) and one["send"] is None
    check_error(space.admin.get("stats/nodes", {"size": 51}), 400)


def test_events_of_who_moves_to_another_profile_count_there(space):
    joined = Aggregate(space).ready()
    one_key, other_key = unique("x"), unique("x")
    one, two, three = (joined.new(node, key) for node, key in (
        (joined.shop, one_key), (joined.letter, one_key), (joined.shop, other_key)))
    left, entered = joined.of(one, two)["id"], joined.of(three)["id"]
    for customer in (one, two):
        check_ok(joined.client.post("events", {
            "type": "completedOrder", "context": "RETAIL", "date": "2024-03-05T10:00:00Z", "customerId": customer["id"],
            "properties": {"orderId": unique(), "type": "sale", "amount": {"revenue": 1, "total": 1}, "products": [{"quantity": 1}]}}), 202)

    def orders():
        found = [check_ok(space.admin.get(f"customers/{profile}/stats/buying-behaviors", {"start": START, "end": END}))
                 for profile in (left, entered)]
        node = counters(check_ok(space.admin.get("stats/events-kpi/purchases", {"nodeId": joined.id, "start": START, "end": END})))
        return [counters(one)["orders"]["value"] for one in found] + [node[name]["value"] for name in ("orders", "buyers", "repeatBuyers")]

    eventually(lambda: orders() == ["2", "0", "2", "1", "1"], timeout=SETTLE, pause=0.2)
    # members that change move nothing; one that goes over takes its events along
    check_ok(joined.client.patch(f"customers/{one['id']}", {"base": {"firstName": "Ada"}}))
    check_ok(joined.client.patch(f"customers/{two['id']}", {"externalId": other_key}))
    eventually(lambda: orders() == ["1", "1", "2", "2", "0"], timeout=SETTLE, pause=0.2)
    check_ok(joined.client.patch(f"customers/{two['id']}", {"externalId": one_key}))
    eventually(lambda: orders() == ["2", "0", "2", "1", "1"], timeout=SETTLE, pause=0.2)


def test_aggregate_node_counts_profiles_and_is_not_added_on_top(space):
    joined = Aggregate(space).ready()
    external = unique("x")
    one, two = joined.new(joined.shop, external), joined.new(joined.letter, external)
    joined.new(joined.letter)
    profile = joined.of(one, two)["id"]
    for customer, revenue in ((one, 10.10), (two, 20.20)):
        check_ok(joined.client.post("events", {
            "type": "completedOrder", "context": "RETAIL", "date": "2024-03-05T10:00:00Z", "customerId": customer["id"],
            "properties": {"orderId": unique(), "type": "sale", "amount": {"revenue": revenue, "total": revenue},
                           "products": [{"quantity": 1}]}}), 202)

    def stat(name, node, **more):
        return check_ok(space.admin.get(f"stats/{name}", {"nodeId": node, **more}))

    def customers(node):
        return stat("customers-snapshot", node)["data"]["values"][0]["value"]

    def purchases(node):
        found = counters(stat("events-kpi/purchases", node, start=START, end=END))
        return [found[name]["value"] for name in ("totalRevenue", "orders", "buyers", "repeatBuyers")]

    eventually(lambda: (customers(joined.id), customers(joined.shop), customers(joined.letter)) == (2, 1, 2), timeout=SETTLE, pause=0.2)
    eventually(lambda: purchases(joined.id) == ["30.30", "2", "1", "1"], timeout=SETTLE, pause=0.2)
    assert purchases(joined.shop) == ["10.10", "1", "1", "0"] and purchases(joined.letter) == ["20.20", "1", "1", "0"]
    nodes = check_page(space.admin.get("stats/nodes", {"size": 50}))
    assert {node["id"]: (node["type"], node["customers"]) for node in nodes if node["id"] in (joined.id, joined.shop)} == {
        joined.id: ("AGGREGATE", 2), joined.shop: ("ENTRY", 1)}
    entries = sum(node["customers"] for node in nodes if node["type"] == "ENTRY")
    assert check_ok(space.admin.get("stats/info"))["customers"] == entries
    assert check_ok(space.admin.get("stats/customers-snapshot")) == {"parameters": {}, "data": {
        "category": "CustomersSnapshot", "type": "keyValue", "values": [{"key": "total", "value": entries}]}}
    spent = counters(check_ok(space.admin.get(f"customers/{profile}/stats/buying-behaviors", {"start": START, "end": END})))
    assert spent["totalSpending"]["value"] == "30.30" and spent["orders"]["value"] == "2"
    events = check_ok(space.admin.get(f"customers/{profile}/stats/event-category-distribution", {"start": START, "end": END}))
    assert series(events) == {("purchase", None): {"2024-03-05": "2"}}


# --- defaults and shapes ---

@pytest.mark.parametrize("name, months, more", [
    ("added-customers", 12, {"mode": "MONTHLY"}), ("updated-customers", 1, {"type": "ADDED"}),
    ("updated-events", 1, {"type": "ADDED"}), ("event-type-context-distribution", 1, {"context": "ALL"}),
    ("events-kpi/purchases", 1, {"type": "ALL"}), ("events-kpi/ecommerce", 1, {}), ("events-kpi/web", 1, {}),
])
def test_default_parameters(space, name, months, more):
    parameters = check_ok(space.admin.get(f"stats/{name}", {"end": "2024-02-29T10:00:00Z"}))["parameters"]
    start = "2023-02-28T10:00:00.000+0000" if months == 12 else "2024-01-29T10:00:00.000+0000"
    assert parameters == {"start": start, "end": "2024-02-29T10:00:00.000+0000", **more}
    now = check_ok(space.admin.get(f"stats/{name}"))["parameters"]["end"]
    late = datetime.datetime.now(UTC) - datetime.datetime.strptime(now, "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(late) < datetime.timedelta(minutes=1), "a range without an end ends now"


def test_default_parameters_of_one_customer(shop):
    for name, more in (("event-category-distribution", {"mode": "DAILY"}), ("buying-behaviors", {})):
        answer = check_ok(shop.admin.get(f"customers/{shop.mail}/stats/{name}", {"end": "2024-02-29T10:00:00Z"}))
        assert answer["parameters"] == {"start": "2023-02-28T10:00:00.000+0000", "end": "2024-02-29T10:00:00.000+0000", **more}


@pytest.mark.parametrize("mode, start, n", [("DAILY", "2023-02-28", 367), ("WEEKLY", "2019-02-28", 262), ("MONTHLY", "2014-02-28", 121)])
def test_limits_by_mode(space, mode, start, n):
    answer = check_ok(space.admin.get("stats/added-customers", {"start": "1900-01-01", "end": "2024-02-29T10:00:00Z", "mode": mode}))
    assert answer["parameters"]["start"] == f"{start}T10:00:00.000+0000"
    [one] = answer["data"]
    first = step_of(datetime.date.fromisoformat(start), mode).isoformat()
    assert (len(one["values"]), one["values"][0]["datetime"]) == (n, first)


@pytest.mark.parametrize("context", ["ALL", *CONTEXTS])
def test_contexts(space, context):
    assert check_ok(space.admin.get("stats/event-type-context-distribution", {"context": context}))["parameters"]["context"] == context


def test_all_faults_of_the_parameters_are_told(space):
    error = check_error(space.admin.get("stats/added-customers", {"start": "x", "end": "2024-02-30", "mode": "daily"}), 400)
    assert sorted(problem["path"] for problem in error["errors"]) == ["/end", "/mode", "/start"]
