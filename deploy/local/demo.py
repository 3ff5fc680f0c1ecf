#!/usr/bin/env python3
"""Sends the CDNOW data set through the HTTP API and compares what the API's analytics then tell with the file.

usage: demo.py ENV_FILE CACHE_DIRECTORY [CUSTOMERS]      only the first so many customers

The data set is every purchase of the 23,570 people who first bought from an online CD shop in early 1997: customer, day,
number of CDs, dollars. Each customer and each purchase goes out in a request of its own with an Idempotency-Key, so a
second run changes nothing. Customers with an even number are also subscribers of a second node, "Newsletter", and an
aggregate node joins both nodes' customers on their externalId.
"""

import collections
import concurrent.futures
import datetime
import decimal
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zipfile

PACKAGE = "lifetimes==0.11.3"
MEMBER = "lifetimes/datasets/CDNOW_master.txt"
THREADS = 32
PAGE_SIZE = 50  # the most that the API gives
WINDOW_ELEMENTS = 8000  # below the 10,000 that a search reaches
SETTLE_SECONDS = 180  # counters and aggregates follow the tables a moment later
STILL_SECONDS = 60  # an answer that has stood still so long stays as it is
ALL_DAYS = {"start": "1997-01-01T00:00:00Z", "end": "1998-12-31T00:00:00Z"}
RETRY_STATUSES = (429, 503, 504)
GIVE_UP_SECONDS = 120
TOP = 10
GIVEN_UP = threading.Event()  # by Ctrl-C

Purchase = collections.namedtuple("Purchase", "number customer day quantity amount")


class Failure(Exception):
    pass


# --- the file ---------------------------------------------------------------------------------------------------------


def fetch_data_set(cache):
    """Path of the data set; fetched once, and whole or not at all."""
    path = os.path.join(cache, "CDNOW_master.txt")
    if os.path.exists(path):
        return path
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        run = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", work, PACKAGE],
                             capture_output=True, text=True)
        if run.returncode != 0:
            raise Failure(f"pip could not fetch {PACKAGE}: {run.stderr.strip()}")
        [wheel] = [name for name in os.listdir(work) if name.endswith(".whl")]
        with zipfile.ZipFile(os.path.join(work, wheel)) as archive, archive.open(MEMBER) as source:
            new = os.path.join(work, "data")
            with open(new, "wb") as out:
                shutil.copyfileobj(source, out)
        os.replace(new, path)
    return path


def read_purchases(path):
    """A line of headings, then lines of `customer yyyymmdd quantity dollars`."""
    with open(path, encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.strip()][1:]
        return [Purchase(number, customer, f"{day[:4]}-{day[4:6]}-{day[6:]}", int(quantity), decimal.Decimal(amount))
                for number, (customer, day, quantity, amount) in enumerate(rows, 1)]


# --- the API ----------------------------------------------------------------------------------------------------------


class Api:
    """Requests over one kept-alive connection per thread; what the server asks to repeat is repeated."""

    def __init__(self, url, workspace, token):
        address = urllib.parse.urlsplit(url)
        self.host, self.port = address.hostname, address.port
        self.base = f"/hub/v1/workspaces/{workspace}"
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        return self.local.connection

    def attempt(self, method, target, body, headers):
        """(status, Retry-After, body), status None when the connection broke."""
        connection = self.connection()
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Retry-After"), response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return None, None, str(error).encode()

    def request(self, method, path, body=None, key=None):
        headers = dict(self.headers, **{"Idempotency-Key": key}) if key else self.headers
        data = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            status, retry_after, answer = self.attempt(method, self.base + path, data, headers)
            if status in (200, 201, 202):
                return json.loads(answer, parse_float=decimal.Decimal)
            if (status is not None and status not in RETRY_STATUSES) or time.monotonic() > deadline or GIVEN_UP.is_set():
                raise Failure(f"{method} {path.split('?')[0]} answered {status or 'nothing'}: {answer.decode(errors='replace')}")
            GIVEN_UP.wait(int(retry_after) if retry_after and retry_after.isdigit() else 0.5)

    def search(self, path, parameters):
        return self.request("GET", f"{path}?{urllib.parse.urlencode(parameters)}")


class Progress:
    """A bar on a terminal, one line at the end elsewhere."""

    WIDTH = 40

    def __init__(self, title, total):
        self.title, self.total, self.done = title, total, 0
        self.start = self.shown = time.monotonic()
        self.lock = threading.Lock()

    def step(self, _future=None):
        with self.lock:
            self.done += 1
            now = time.monotonic()
            if sys.stdout.isatty() and now - self.shown > 0.1:
                self.shown = now
                filled = self.WIDTH * self.done // self.total
                print(f"\r{self.title:<22} [{'#' * filled}{'.' * (self.WIDTH - filled)}] {self.done:,}/{self.total:,} {self.rate(now):,.0f}/s ",
                      end="", flush=True)

    def rate(self, now):
        return self.done / max(now - self.start, 0.001)

    def finish(self):
        now = time.monotonic()
        print("\r\033[K" if sys.stdout.isatty() else "", end="")
        print(f"{self.title:<22} {self.done:>7,} in {now - self.start:5.1f} s ({self.rate(now):,.0f}/s)", flush=True)


def run_all(title, calls):
    """Results of the calls, made by many threads; the first failure ends it, and so does Ctrl-C."""
    progress = Progress(title, len(calls))
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            futures = [pool.submit(*call) for call in calls]
            for future in futures:
                future.add_done_callback(progress.step)
            done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        except KeyboardInterrupt:
            GIVEN_UP.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        if any(future.exception() for future in done):
            pool.shutdown(cancel_futures=True)
    results = [future.result() for future in futures if not future.cancelled()]
    progress.finish()
    return results


# --- sending ----------------------------------------------------------------------------------------------------------


def send_customer(api, node, customer):
    api.request("POST", "/customers", {"nodeId": node, "externalId": customer}, f"cdnow-customer-{customer}")


def send_purchase(api, node, purchase):
    amount = float(purchase.amount)
    api.request("POST", "/events", {
        "type": "completedOrder",
        "context": "ECOMMERCE",
        "bringBackProperties": {"type": "EXTERNAL_ID", "value": purchase.customer, "nodeId": node},
        # The file knows days only; noon is that day in each of the time zones that a workspace may have.
        "date": f"{purchase.day}T12:00:00.000Z",
        "properties": {
            "orderId": f"cdnow-{purchase.number}",
            "type": "sale",
            "amount": {"total": amount, "revenue": amount},
            "products": [{"type": "sale", "name": "CD", "quantity": purchase.quantity, "subtotal": amount}],
        },
    }, f"cdnow-purchase-{purchase.number}")


def is_subscriber(customer):
    return int(customer) % 2 == 0


def send_subscriber(api, node, customer):
    subscription = {"id": "newsletter", "name": "Newsletter", "kind": "DIGITAL_MESSAGE", "subscribed": True}
    api.request("POST", "/customers", {"nodeId": node, "externalId": customer, "base": {"subscriptions": [subscription]}},
                f"cdnow-subscriber-{customer}")


# --- nodes ------------------------------------------------------------------------------------------------------------


def find_node(api, kind, name):
    """Id of a node that a run before has made, or None."""
    page = 0
    while True:
        answer = api.search(f"/configuration/nodes/{kind}", {"page": page, "size": PAGE_SIZE})
        for node in answer["elements"]:
            if node["name"] == name:
                return node["id"]
        page += 1
        if page >= answer["page"]["totalPages"]:
            return None


def make_newsletter(api):
    body = {"name": "Newsletter", "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": True}}
    return find_node(api, "entries", "Newsletter") or api.request("POST", "/configuration/nodes/entries", body, "demo-newsletter")["id"]


def make_everybody(api, shop, newsletter):
    body = {"name": "Everybody", "entryNodes": [shop, newsletter], "matchingProperties": {"properties": ["externalId"], "caseSensitive": True}}
    path = "/configuration/nodes/aggregates"
    node = find_node(api, "aggregates", "Everybody") or api.request("POST", path, body, "demo-everybody")["id"]
    if api.request("GET", f"{path}/{node}")["state"] == "NEW":
        api.request("PUT", f"{path}/{node}/state", {"state": "ACTIVE"})
    return node


# --- reading back -----------------------------------------------------------------------------------------------------


def iso(moment_ms):
    moment = datetime.datetime.fromtimestamp(moment_ms / 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment_ms % 1000:03d}Z"


def subscribers(api, node, start_ms, end_ms):
    """How many customers registered in [start, end) are subscribed; a search tells up to 10,000, so time is cut in halves."""
    conditions = [("registeredAt", "GTE", iso(start_ms)), ("registeredAt", "LT", iso(end_ms)), ("base.subscriptions.subscribed", "EQUALS", True)]
    query = {"name": "subscribers", "query": {"type": "simple", "name": "subscribers", "are": {"condition": {
        "type": "composite", "conjunction": "and", "conditions": [
            {"type": "atomic", "attribute": attribute, "operator": operator, "value": value} for attribute, operator, value in conditions]}}}}
    found = api.search("/customers", {"nodeId": node, "query": json.dumps(query), "fields": "id", "size": 1})["page"]["totalElements"]
    if found <= WINDOW_ELEMENTS or end_ms - start_ms <= 1:
        return found
    middle_ms = (start_ms + end_ms) // 2
    return subscribers(api, node, start_ms, middle_ms) + subscribers(api, node, middle_ms, end_ms)


def count_customers(api, node):
    [total] = api.search("/stats/customers-snapshot", {"nodeId": node})["data"]["values"]
    return int(total["value"])


def purchases_kpi(api, node):
    answer = api.search("/stats/events-kpi/purchases", dict(ALL_DAYS, nodeId=node))
    return {kpi["name"]: decimal.Decimal(kpi["value"]) for kpi in answer["data"]}


def orders_by_month(api, node):
    months = collections.Counter()
    for year in ("1997", "1998"):
        answer = api.search("/stats/event-type-context-distribution",
                            {"nodeId": node, "context": "ECOMMERCE", "start": f"{year}-01-01T12:00:00Z", "end": f"{year}-12-31T12:00:00Z"})
        for series in answer["data"]:
            if series["category"] == "completedOrder":
                for point in series["values"]:
                    months[point["datetime"][:7]] += int(point["value"])
    return +months  # months without orders are left out


def best_customer(api, node, customer):
    [found] = api.search("/customers", {"nodeId": node, "externalId": customer, "fields": "externalId"})["elements"]
    answer = api.search(f"/customers/{found['id']}/stats/buying-behaviors", ALL_DAYS)
    values = {counter["name"]: decimal.Decimal(counter["value"]) for counter in answer["data"]}
    return f"{customer}: {values['orders']} orders, {values['totalSpending']:,.2f}"


def settled(read, expected):
    """Asks until the answer is what is expected, or no longer changes; the last answer."""
    deadline = time.monotonic() + SETTLE_SECONDS
    answer, since = read(), time.monotonic()
    while answer != expected and time.monotonic() < min(deadline, since + STILL_SECONDS):
        time.sleep(0.5)
        before, answer = answer, read()
        since = since if answer == before else time.monotonic()
    return answer


# --- figures ----------------------------------------------------------------------------------------------------------


class File:
    """What the data set holds. Money is exact."""

    def __init__(self, customers, purchases):
        self.customers = len(customers)
        self.subscribed = sum(is_subscriber(customer) for customer in customers)
        self.orders = len(purchases)
        self.items = sum(purchase.quantity for purchase in purchases)
        self.revenue = sum(purchase.amount for purchase in purchases)
        self.months = collections.Counter(purchase.day[:7] for purchase in purchases)
        spent, bought = collections.Counter(), collections.Counter()
        for purchase in purchases:
            spent[purchase.customer] += purchase.amount
            bought[purchase.customer] += 1
        ranked = sorted(customers, key=lambda customer: (-spent[customer], customer))[:TOP]
        self.best = [(customer, f"{customer}: {bought[customer]} orders, {spent[customer]:,.2f}") for customer in ranked]


def compare(api, shop, newsletter, everybody, file):
    """Prints both sides; true when they are equal."""
    settled(lambda: int(purchases_kpi(api, shop)["orders"]), file.orders)
    kpi = purchases_kpi(api, shop)
    months = orders_by_month(api, shop)
    joined = settled(lambda: int(purchases_kpi(api, everybody)["orders"]), file.orders)
    tomorrow_ms = int((time.time() + 86400) * 1000)
    rows = [("customers", settled(lambda: count_customers(api, shop), file.customers), file.customers),
            ("orders", int(kpi["orders"]), file.orders),
            ("CDs", int(kpi["items"]), file.items),
            ("revenue", f"{kpi['totalRevenue']:,.2f}", f"{file.revenue:,.2f}")]
    rows += [(f"orders in {month}", months[month], file.months[month]) for month in sorted(months.keys() | file.months.keys())]
    rows += [(f"best customer {rank}", best_customer(api, shop, customer), words) for rank, (customer, words) in enumerate(file.best, 1)]
    rows += [("subscribers", settled(lambda: count_customers(api, newsletter), file.subscribed), file.subscribed),
             ("joined profiles", settled(lambda: count_customers(api, everybody), file.customers), file.customers),
             ("their orders", joined, file.orders),
             ("subscribed of them", settled(lambda: subscribers(api, everybody, 0, tomorrow_ms), file.subscribed), file.subscribed)]
    print(f"\n{'':<20} {'from the API':>32} {'from the file':>32}")
    for name, left, right in rows:
        left, right = (f"{side:,}" if isinstance(side, int) else side for side in (left, right))
        print(f"{name:<20} {left:>32} {right:>32}{'' if left == right else '   DIFFERENT'}")
    return all(left == right for _, left, right in rows)


def read_env(path):
    with open(path, encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line)


def main(env_file, cache, most=None):
    start = time.monotonic()
    env = read_env(env_file)
    node = env["CONTACTHUB_NODE"]
    api = Api(env["CONTACTHUB_URL"], env["CONTACTHUB_WORKSPACE"], env["CONTACTHUB_TOKEN"])
    operator = Api(env["CONTACTHUB_URL"], env["CONTACTHUB_WORKSPACE"], env["CONTACTHUB_ADMIN_TOKEN"])
    purchases = read_purchases(fetch_data_set(cache))
    customers = sorted({purchase.customer for purchase in purchases})[:int(most) if most else None]
    purchases = [purchase for purchase in purchases if purchase.customer <= customers[-1]]

    newsletter = make_newsletter(operator)
    everybody = make_everybody(operator, node, newsletter)
    run_all("customers sent", [(send_customer, api, node, customer) for customer in customers])
    run_all("purchases sent", [(send_purchase, api, node, purchase) for purchase in purchases])
    run_all("subscribers sent", [(send_subscriber, operator, newsletter, customer) for customer in customers if is_subscriber(customer)])
    equal = compare(operator, node, newsletter, everybody, File(customers, purchases))
    print(f"\n{'equal: the API tells what the file holds' if equal else 'NOT EQUAL'} ({time.monotonic() - start:.0f} s)")
    return 0 if equal else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Failure, OSError, KeyError) as failure:
        sys.exit(f"demo: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
