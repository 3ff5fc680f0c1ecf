#!/usr/bin/env python3
"""Sends the CDNOW data set through the HTTP API, reads everything back through the API and compares it with the file.

usage: demo.py ENV_FILE CACHE_DIRECTORY [CUSTOMERS]      only the first so many customers

The data set is every purchase of the 23,570 people who first bought from an online CD shop in early 1997: customer, day,
number of CDs, dollars. Each customer and each purchase goes out in a request of its own with an Idempotency-Key, so a
second run changes nothing. Reading back uses the searches alone: a search reaches at most 10,000 elements, so the whole
is cut into windows of time that together leave nothing out.
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
WINDOW_ELEMENTS = 2000  # well below the 10,000 that a search reaches; late pages of a long list cost more
RETRY_STATUSES = (429, 503, 504)
GIVE_UP_SECONDS = 120
TOP = 10

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
            if (status is not None and status not in RETRY_STATUSES) or time.monotonic() > deadline:
                raise Failure(f"{method} {path.split('?')[0]} answered {status or 'nothing'}: {answer.decode(errors='replace')}")
            time.sleep(int(retry_after) if retry_after and retry_after.isdigit() else 0.5)

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
    """Results of the calls, made by many threads; the first failure ends it."""
    progress = Progress(title, len(calls))
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(*call) for call in calls]
        for future in futures:
            future.add_done_callback(progress.step)
        done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
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


# --- reading back -----------------------------------------------------------------------------------------------------


def iso(moment_ms):
    moment = datetime.datetime.fromtimestamp(moment_ms / 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment_ms % 1000:03d}Z"


def customer_window(node, start_ms, end_ms):
    bounds = [{"type": "atomic", "attribute": "registeredAt", "operator": operator, "value": iso(moment)}
              for operator, moment in (("GTE", start_ms), ("LT", end_ms))]
    query = {"name": "window", "query": {"type": "simple", "name": "window", "are": {
        "condition": {"type": "composite", "conjunction": "and", "conditions": bounds}}}}
    return {"nodeId": node, "query": json.dumps(query), "fields": "externalId", "sort": "registeredAt,asc"}


def event_window(node, start_ms, end_ms):
    """dateTo is inclusive and times have milliseconds."""
    return {"nodeId": node, "type": "completedOrder", "dateFrom": iso(start_ms), "dateTo": iso(end_ms - 1)}


def find_windows(api, path, window, start_ms, end_ms):
    """First pages of windows [start, end) that tile the given time, each with few enough elements to be paged through."""
    parameters = dict(window(start_ms, end_ms), size=PAGE_SIZE)
    first = api.search(path, dict(parameters, page=0))
    if first["page"]["totalElements"] <= WINDOW_ELEMENTS:
        return [(parameters, first)]
    if end_ms - start_ms <= 1:
        raise Failure(f"more than {WINDOW_ELEMENTS} elements of {path} within one millisecond")
    middle_ms = (start_ms + end_ms) // 2
    return find_windows(api, path, window, start_ms, middle_ms) + find_windows(api, path, window, middle_ms, end_ms)


def read_all(title, api, path, window):
    """Every element, from 1970 to tomorrow."""
    tomorrow_ms = int((time.time() + 86400) * 1000)
    windows = find_windows(api, path, window, 0, tomorrow_ms)
    elements = [element for _, first in windows for element in first["elements"]]
    calls = [(api.search, path, dict(parameters, page=page))
             for parameters, first in windows for page in range(1, first["page"]["totalPages"])]
    for answer in run_all(title, calls):
        elements += answer["elements"]
    found = {element["id"]: element for element in elements}
    expected = sum(first["page"]["totalElements"] for _, first in windows)
    if len(found) != expected or len(elements) != expected:
        raise Failure(f"{path}: the windows hold {expected} elements, their pages {len(elements)}, {len(found)} of them distinct")
    return found


# --- figures ----------------------------------------------------------------------------------------------------------


class Figures:
    """What both sides are compared by. Money is exact."""

    def __init__(self, customers):
        self.customers = set(customers)
        self.orders = 0
        self.items = 0
        self.revenue = decimal.Decimal(0)
        self.months = collections.Counter()
        self.spent = dict.fromkeys(self.customers, decimal.Decimal(0))
        self.bought = collections.Counter()

    def add(self, customer, day, quantity, amount):
        self.orders += 1
        self.items += quantity
        self.revenue += amount
        self.months[day[:7]] += 1
        self.spent[customer] = self.spent.get(customer, decimal.Decimal(0)) + amount
        self.bought[customer] += 1

    def best(self):
        ranked = sorted(self.spent, key=lambda customer: (-self.spent[customer], customer))
        return [(customer, self.bought[customer], f"{self.spent[customer]:,.2f}") for customer in ranked[:TOP]]


def figures_of_file(purchases):
    figures = Figures(purchase.customer for purchase in purchases)
    for purchase in purchases:
        figures.add(purchase.customer, purchase.day, purchase.quantity, purchase.amount)
    return figures


def figures_of_api(api, node, known):
    """Somebody may have tried the API on the same node: customers that the data set does not know are counted and left out."""
    customers = read_all("customer pages read", api, "/customers", lambda *window: customer_window(node, *window))
    events = read_all("order pages read", api, "/events", lambda *window: event_window(node, *window))
    owners = {identifier: customer["externalId"] for identifier, customer in customers.items()}
    others = [owner for owner in owners.values() if owner not in known]
    if others:
        print(f"{len(others)} customers of this node are not of the data set: they and their orders are left out")
    figures = Figures(owner for owner in owners.values() if owner in known)
    if len(figures.customers) + len(others) != len(owners):
        raise Failure("two customers have the same externalId")
    for event in events.values():
        owner = owners.get(event["customerId"], "(nobody)")
        if owner in known or owner == "(nobody)":
            order = event["properties"]
            figures.add(owner, event["date"], sum(int(line["quantity"]) for line in order["products"]),
                        decimal.Decimal(order["amount"]["revenue"]))
    return figures


def compare(api, file):
    """Prints both sides; true when they are equal, also in what each single customer bought and spent."""
    rows = [("customers", f"{len(api.customers):,}", f"{len(file.customers):,}"),
            ("orders", f"{api.orders:,}", f"{file.orders:,}"),
            ("CDs", f"{api.items:,}", f"{file.items:,}"),
            ("revenue", f"{api.revenue:,.2f}", f"{file.revenue:,.2f}")]
    rows += [(f"orders in {month}", f"{api.months[month]:,}", f"{file.months[month]:,}")
             for month in sorted(api.months.keys() | file.months.keys())]
    for rank, pair in enumerate(zip(api.best(), file.best()), 1):
        rows.append((f"best customer {rank}", *(f"{customer}: {bought} orders, {spent}" for customer, bought, spent in pair)))
    print(f"\n{'':<20} {'from the API':>32} {'from the file':>32}")
    for name, left, right in rows:
        print(f"{name:<20} {left:>32} {right:>32}{'' if left == right else '   DIFFERENT'}")
    return vars(api) == vars(file)


def read_env(path):
    with open(path, encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line)


def main(env_file, cache, most=None):
    start = time.monotonic()
    env = read_env(env_file)
    node = env["CONTACTHUB_NODE"]
    api = Api(env["CONTACTHUB_URL"], env["CONTACTHUB_WORKSPACE"], env["CONTACTHUB_TOKEN"])
    purchases = read_purchases(fetch_data_set(cache))
    customers = sorted({purchase.customer for purchase in purchases})[:int(most) if most else None]
    purchases = [purchase for purchase in purchases if purchase.customer <= customers[-1]]

    run_all("customers sent", [(send_customer, api, node, customer) for customer in customers])
    run_all("purchases sent", [(send_purchase, api, node, purchase) for purchase in purchases])
    equal = compare(figures_of_api(api, node, set(customers)), figures_of_file(purchases))
    print(f"\n{'equal: the API tells what the file holds' if equal else 'NOT EQUAL'} ({time.monotonic() - start:.0f} s)")
    return 0 if equal else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Failure, OSError, KeyError) as failure:
        sys.exit(f"demo: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
