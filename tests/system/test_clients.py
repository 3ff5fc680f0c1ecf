"""Client libraries: one real one from the package index runs its main flows against the server; of the others, what they are
known to put on the wire is sent here and what they rely on in the answer is checked."""

import datetime
import importlib
import json
import subprocess
import sys
import urllib.parse

import pytest

from aggregates import Aggregate
from client import PREFIX, eventually, new_id, unique
from contract import check_empty, check_error, check_ok, check_page, check_status, instant, stripped
from test_customers import FULL, with_instants

LIBRARY = "contacthub-sdk-python==0.2"
INSTALL_SECONDS = 120


# --- the Python library itself -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The library, installed for this run. It must be had: without it the tests that use it fail."""
    target = tmp_path_factory.mktemp("library")
    run = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-script-location", "--root-user-action=ignore",
                          "--disable-pip-version-check", "--target", str(target), LIBRARY],
                         capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if run.returncode != 0:
        last = (run.stderr.strip() or run.stdout.strip()).splitlines()[-1:]
        pytest.fail(f"{LIBRARY} could not be installed (pip and the package index are needed): {' '.join(last)}", pytrace=False)
    sys.path.insert(0, str(target))
    yield importlib.import_module("contacthub")
    sys.path.remove(str(target))


@pytest.fixture
def shop(library, source, node, monkeypatch):
    """The library's own object for the module's node."""
    monkeypatch.setenv("NO_PROXY", "*")
    workspace = importlib.import_module("contacthub.workspace").Workspace(
        workspace_id=source.workspace, token=source.token, base_url=f"{source.url}{PREFIX}/workspaces")
    return workspace.get_node(node)


def part(name):
    module, attribute = name.rsplit(".", 1)
    return getattr(importlib.import_module(f"contacthub.{module}"), attribute)


def person(**more):
    return {"base": {"contacts": {"email": f"{unique()}@example.com"}, **more.pop("base", {})}, **more}


def test_python_customer_life(shop):
    made = shop.add_customer(**person(externalId=unique("py"), base={"firstName": "Bruce", "dob": datetime.date(1994, 10, 6)}))
    assert made.id and made.base.firstName == "Bruce" and made.base.dob == "1994-10-06"
    assert shop.get_customer(id=made.id).base.firstName == "Bruce"
    assert shop.get_customer(external_id=made.externalId).id == made.id
    updated = shop.update_customer(made.id, base={"firstName": "Batman"})
    assert updated.base.firstName == "Batman" and updated.base.dob == "1994-10-06"
    whole = shop.update_customer(made.id, full_update=True, base={"contacts": {"email": made.base.contacts.email}, "lastName": "Wayne"})
    assert whole.base.lastName == "Wayne"
    shop.get_customer(id=made.id).delete()
    with pytest.raises(part("errors.api_error.APIError"), match="Status code: 404"):
        shop.get_customer(id=made.id)


def test_python_customer_objects(shop):
    customer = part("models.customer.Customer")(node=shop, **person(base={"firstName": "A"}))
    customer.post()
    found = shop.query(part("models.customer.Customer")).filter(
        part("models.customer.Customer").base.contacts.email == customer.base.contacts.email).all()
    assert len(found) == 1
    customer = found[0]
    customer.base.lastName = "B"
    customer.patch()
    assert shop.get_customer(id=customer.id).base.lastName == "B"
    customer = shop.get_customer(id=customer.id)
    customer.base.firstName = "Z"
    customer.put()
    assert shop.get_customer(id=customer.id).base.firstName == "Z"


def test_python_force_update(shop):
    body = person(base={"firstName": "A"})
    first = shop.add_customer(**json.loads(json.dumps(body)))
    body["base"]["firstName"] = "B"
    second = shop.add_customer(force_update=True, **body)
    assert second.id == first.id and second.base.firstName == "B"


def test_python_explicit_null_unsets(shop):
    made = shop.add_customer(**person(base={"firstName": "A", "address": {"city": "Rome"}}))
    updated = shop.update_customer(made.id, base={"firstName": None, "address": None})
    assert updated.base.firstName is None and updated.base.address is None


def test_python_tags(shop):
    made = shop.add_customer(**person())
    for tag in ("a", "b"):
        shop.add_tag(made.id, tag)
    assert shop.get_customer(id=made.id).tags.manual == ["a", "b"]
    shop.remove_tag(made.id, "a")
    assert shop.get_customer(id=made.id).tags.manual == ["b"]


def test_python_queries(shop):
    customer, (in_, between_) = part("models.customer.Customer"), (part("models.query.in_"), part("models.query.between_"))
    stem = unique()
    for number, city in enumerate(("Rome", "Rome", "Milan")):
        shop.add_customer(**person(extra=stem, tags={"manual": [f"{stem}-{number}"]}, base={
            "firstName": f"N{number}", "dob": f"19{70 + number}-01-01", "address": {"city": city}}))

    def found(*criteria):
        query = shop.query(customer).filter(customer.extra == stem)
        for criterion in criteria:
            query = query.filter(criterion)
        return {one.base.firstName for one in query.all()}
    assert found() == {"N0", "N1", "N2"}
    assert found(customer.base.address.city == "Rome") == {"N0", "N1"}
    assert found((customer.base.address.city == "Milan") | (customer.base.firstName == "N0")) == {"N0", "N2"}
    assert found((customer.base.address.city == "Rome") & (customer.base.firstName != "N0")) == {"N1"}
    assert found(in_(f"{stem}-1", customer.tags.manual)) == {"N1"}
    assert found(between_(customer.base.dob, datetime.datetime(1970, 6, 1), datetime.datetime(1971, 6, 1))) == {"N1"}
    assert found(customer.base.dob > "1970-06-01") == {"N1", "N2"}
    assert found(customer.base.lastName == None) == {"N0", "N1", "N2"}  # noqa: E711 - the library's own operator
    rome = shop.query(customer).filter((customer.base.address.city == "Rome") & (customer.extra == stem))
    first = shop.query(customer).filter((customer.base.firstName == "N0") & (customer.extra == stem))
    milan = shop.query(customer).filter((customer.base.address.city == "Milan") & (customer.extra == stem))
    assert {one.base.firstName for one in (rome & first).all()} == {"N0"}
    assert {one.base.firstName for one in (first | milan).all()} == {"N0", "N2"}


def test_python_pages(shop):
    stem = unique("page")
    for _ in range(3):
        shop.add_customer(**person(externalId=stem))
    listed = shop.get_customers(external_id=stem, size=2, fields=["base.firstName"])
    assert (len(listed), listed.total_elements, listed.total_pages, listed.size) == (2, 3, 2, 2)
    assert listed.total_unfiltered_elements >= 0
    assert len(listed.next_page()) == 1 and len(listed.previous_page()) == 2


def test_python_sessions_and_events(shop, source):
    made = shop.add_customer(**person())
    session = shop.create_session_id()
    bring_back = {"type": "SESSION_ID", "value": session, "nodeId": shop.node_id}
    shop.add_event(bringBackProperties=bring_back, context="WEB", type="viewedPage", properties={"title": "before"})
    assert shop.add_customer_session(customer_id=made.id, session_id=session) == session
    shop.add_event(bringBackProperties=bring_back, context="WEB", type="viewedPage", properties={"title": "after"},
                   date=datetime.datetime(2020, 1, 2, 3, 4, 5))
    shop.add_event(customerId=made.id, context="OTHER", type="loggedIn", properties={})

    def listed():
        events = shop.get_events(customer_id=made.id)
        assert events.total_elements == 3, "anonymous events belong to the customer once the session does"
        return events
    events = eventually(listed)
    titles = {event.properties.attributes.get("title") for event in events}
    assert titles == {"before", "after", None}
    after = next(event for event in events if event.properties.attributes.get("title") == "after")
    assert after.date == "2020-01-02T03:04:05.000+0000"
    assert shop.get_event(after.id).type == "viewedPage"
    assert len(shop.get_events(customer_id=made.id, event_type="loggedIn", context="OTHER", event_mode="ACTIVE")) == 1
    old = shop.get_events(customer_id=made.id, date_from=datetime.datetime(2020, 1, 1), date_to=datetime.datetime(2020, 2, 1))
    assert [event.id for event in old] == [after.id]


@pytest.mark.parametrize("kind, fields", [
    ("job", {"companyName": "n", "startDate": "1994-10-06", "isCurrent": True}), ("like", {"name": "n", "category": "c"}),
    ("education", {"schoolType": "COLLEGE", "schoolName": "n", "startYear": 1994}), ("subscription", {"name": "n", "kind": "SERVICE", "subscribed": True})])
def test_python_items(shop, kind, fields):
    made = shop.add_customer(**person())
    added = getattr(shop, f"add_{kind}")(made.id, id="01", **fields)
    assert added.id == "01"
    changed = {**fields, **({"schoolName": "other"} if kind == "education" else {"companyName": "other"} if kind == "job" else {"name": "other"})}
    update = getattr(shop, f"update_{kind}")(made.id, id="01", **changed)
    assert "other" in update.to_dict().values()
    if kind != "subscription":  # the library passes an argument of its own twice there
        assert "other" in getattr(shop, f"get_customer_{kind}")(made.id, "01").to_dict().values()
    getattr(shop, f"remove_{kind}")(made.id, "01")
    with pytest.raises(part("errors.api_error.APIError"), match="Status code: 404"):
        shop.customer_api_manager.get(_id=made.id, urls_extra=f"{kind}s/01")


def test_python_reads_an_aggregate_node(library, space, monkeypatch):
    """Profiles are customers, and their events are events, also to a client that knows nothing of aggregate nodes."""
    monkeypatch.setenv("NO_PROXY", "*")
    aggregate = Aggregate(space).ready()
    external = unique("py")
    one = aggregate.new(aggregate.shop, external, base={"firstName": "Ada"})
    two = aggregate.new(aggregate.letter, external, base={"lastName": "Lovelace"})
    profile = aggregate.of(one, two)
    event = aggregate.post_event(two)
    node = importlib.import_module("contacthub.workspace").Workspace(
        workspace_id=space.id, token=aggregate.client.token, base_url=f"{space.admin.url}{PREFIX}/workspaces").get_node(aggregate.id)
    found = node.get_customer(external_id=external)
    assert (found.id, found.base.firstName, found.base.lastName) == (profile["id"], "Ada", "Lovelace")
    assert node.get_customer(id=profile["id"]).externalId == external
    [shown] = eventually(lambda: seen if len(seen := node.get_events(customer_id=profile["id"])) else False)
    assert shown.id != event["id"] and node.get_event(shown.id).origin == "DUPLICATE"


def test_python_errors_carry_all_four_keys(shop):
    with pytest.raises(part("errors.api_error.APIError"), match=r"Status code: 400\. Message: .*Errors: .*Data: .*Logref: "):
        shop.add_customer(base={"firstName": "no unique property"})


# --- what the others put on the wire ---------------------------------------------------------------------------------------------------


def mail(node, **more):
    return {"nodeId": node, **person(**more)}


def simple(attribute, operator, value):
    return {"name": "default-query-builder", "query": {"type": "simple", "are": {"condition": {
        "type": "atomic", "attribute": attribute, "operator": operator, "value": value}}}}


@pytest.fixture(scope="module")
def mario(people):
    return people.new({"externalId": unique("mario"), "base": {"firstName": "Mario", "lastName": "De Rossi"}, "tags": {"manual": ["a:b,c"]}})


ENCODINGS = {
    "percent-encoded, space as %20": lambda text: urllib.parse.quote(text, safe=""),
    "percent-encoded, space as +": lambda text: urllib.parse.quote_plus(text),
    "node: raw : $ , [ ] @ and + for a space": lambda text: urllib.parse.quote(text, safe=":$,[]@ ").replace(" ", "+"),
    "zendesk: raw brackets and braces": lambda text: urllib.parse.quote(text, safe=":$,[]@{}"),
    "lower-case percent escapes": lambda text: urllib.parse.quote(text, safe="").replace("%7B", "%7b").replace("%22", "%22").replace("%7D", "%7d"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings_of_a_query(source, node, mario, name):
    query = json.dumps({"query": {"type": "combined", "conjunction": "INTERSECT", "queries": [
        simple("id", "IN", [mario["id"]])["query"], simple("base.lastName", "EQUALS", "De Rossi")["query"],
        simple("tags.manual", "IN", ["a:b,c"])["query"]]}}, separators=(",", ":"))
    answer = source.get("customers", f"nodeId={node}&query={ENCODINGS[name](query)}")
    assert [customer["id"] for customer in check_page(answer)] == [mario["id"]], f"{name} is understood"


def test_node_reads_pages_until_none_is_left(source, node, mario):
    page, seen = 0, 0
    while True:
        answer = check_ok(source.get("customers", {"nodeId": node, "externalId": mario["externalId"], "page": page}))
        seen += len(answer["elements"])
        if answer["page"]["number"] >= answer["page"]["totalPages"]:
            break
        page += 1
    assert seen == 1 and answer["elements"] == [], "it reads one page too far"


def test_node_removes_a_tag_by_get_and_put(source, people):
    customer = people.new({"tags": {"manual": ["foo", "bar", "baz"], "auto": []}})
    got = stripped(people.get(customer["id"]))
    got["tags"]["manual"] = ["foo", "baz"]
    assert check_ok(source.put(f"customers/{customer['id']}", got))["tags"]["manual"] == ["foo", "baz"]


def test_node_reads_times_and_fields(source, node, mario):
    [found] = check_page(source.get("customers", {"nodeId": node, "externalId": mario["externalId"], "fields": "base.firstName"}))
    assert stripped(found["base"]) == {"firstName": "Mario"} and found["registeredAt"] and found["updatedAt"]


def test_node_sends_its_dates_with_milliseconds(source, people):
    customer = people.new()
    now = datetime.datetime.now(datetime.timezone.utc)
    event = {"customerId": customer["id"], "type": "viewedPage", "context": "WEB", "properties": {},
             "date": now.strftime("%Y-%m-%dT%H:%M:%S.123Z")}
    identifier = check_ok(source.post("events", event), 202)["id"]
    eventually(lambda: check_ok(source.get(f"events/{identifier}")))
    found = check_page(source.get("events", {"customerId": customer["id"], "dateFrom": event["date"], "dateTo": event["date"]}))
    assert [entry["id"] for entry in found] == [identifier]


def test_php_values_are_texts(source, node, people):
    customer = people.new({"base": {"address": {"geo": {"lat": 7, "lon": 8.5}}}, "enabled": False})
    for attribute, value in (("base.address.geo.lat", "7"), ("base.address.geo.lon", "8.5"), ("enabled", "false")):
        found = check_page(source.get("customers", {"nodeId": node, "query": json.dumps(simple(attribute, "EQUALS", value)), "size": 50}))
        assert customer["id"] in {one["id"] for one in found}, f"{attribute} EQUALS {value!r} as text"


def test_php_dates_and_empty_arrays(source, people):
    customer = people.new()
    event = {"customerId": customer["id"], "type": "loggedIn", "context": "OTHER", "properties": [], "date": "2020-06-01T12:00:00+02:00"}
    identifier = check_ok(source.post("events", event), 202)["id"]
    stored = eventually(lambda: check_ok(source.get(f"events/{identifier}")))
    assert stored["date"] == "2020-06-01T10:00:00.000+0000"
    sessions = check_ok(source.get(f"customers/{customer['id']}/sessions"))
    assert sessions == {"elements": []}


def php_array(value):
    """What PHP makes of a JSON text that it reads and writes again: an object without members becomes a list."""
    if isinstance(value, dict):
        return {key: php_array(inner) for key, inner in value.items()} or []
    return [php_array(inner) for inner in value] if isinstance(value, list) else value


def test_php_adds_a_tag_by_get_and_put(source, people, space):
    check_ok(space.admin.put("configuration/properties/extended", {"card": {"type": "string"}}))
    customer = people.new({"extended": {"card": "C-1"}})
    got = check_ok(source.patch(f"customers/{customer['id']}", {"extended": {"card": None}}))
    put = check_ok(source.put(f"customers/{customer['id']}", php_array({**got, "tags": {"auto": [], "manual": ["vip"]}})))
    assert put["tags"]["manual"] == ["vip"] and not put["extended"]
    check_error(source.put(f"customers/{customer['id']}", {**got, "extended": ["C-1"]}), 400, pointer="/extended")
    made = people.new({"extended": [], "extra": "1.10"})
    assert (people.get(made["id"])["extended"], made["extra"]) == (None, "1.10")


def test_php_expects_unselected_fields_as_null(source, node, mario):
    [found] = check_page(source.get("customers", {"nodeId": node, "externalId": mario["externalId"], "fields": "base.firstName"}))
    assert "lastName" in found["base"] and found["base"]["lastName"] is None


def test_go_asks_for_twenty(source, node, mario):
    answer = source.get("customers", {"nodeId": node, "page": 0, "size": 20}, headers={"User-Agent": "golang contacthub-sdk"})
    check_page(answer, size=20, number=0)
    for name in ("registeredAt", "updatedAt"):
        datetime.datetime.strptime(mario[name], "%Y-%m-%dT%H:%M:%S.%f%z")


def test_go_reads_codes_as_text(source, node):
    body = check_error(source.post("customers", {"nodeId": node}), 400)
    assert all(entry["code"] is None or isinstance(entry["code"], str) for entry in body["errors"])


def test_java_puts_back_what_it_fetched(source, people):
    customer = people.new(dict(FULL, base=dict(FULL["base"], contacts={**FULL["base"]["contacts"], "email": f"{unique()}@x"})))
    got = people.get(customer["id"])
    tracing = {"Contactlab-Tracing-ID": new_id()}
    put = check_ok(source.put(f"customers/{customer['id']}", {**got, "extra": "java"}, headers=tracing))
    assert with_instants(stripped({**put, "extra": None, "version": None, "updatedAt": None, "sourceInfo": None})) == \
        with_instants(stripped({**got, "extra": None, "version": None, "updatedAt": None, "sourceInfo": None}))


def test_java_requests_the_page_after_the_last(source, node, mario):
    page = check_ok(source.get("customers", {"nodeId": node, "externalId": mario["externalId"]}))["page"]
    answer = check_ok(source.get("customers", {"nodeId": node, "externalId": mario["externalId"], "page": page["totalPages"]}))
    assert answer["elements"] == [] and answer["page"]["number"] == page["totalPages"]


def test_java_dates_with_hour_offsets(source, people):
    customer = people.new({"base": {"likes": [{"id": "1", "createdTime": "2020-01-02T03:04:05.000+01"}]}})
    assert instant(customer["base"]["likes"][0]["createdTime"]) == instant("2020-01-02T02:04:05.000+0000")


def test_net_sends_all_keys(source, node):
    """Explicit nulls and empty lists for everything that has no value."""
    body = {"nodeId": node, "externalId": None, "extra": None, "extended": None, "enabled": True, "tags": None, "consents": None, "base": {
        "pictureUrl": None, "title": None, "prefix": None, "firstName": "Net", "lastName": None, "middleName": None, "gender": None,
        "dob": None, "locale": None, "timezone": None, "address": None, "credential": None, "socialProfile": None, "educations": [],
        "likes": [], "jobs": [], "subscriptions": [], "contacts": {
            "email": f"{unique()}@example.com", "fax": None, "mobilePhone": None, "phone": None, "otherContacts": [], "mobileDevices": []}}}
    made = check_ok(source.post("customers", body), 201)
    path = f"customers/{made['id']}"
    assert check_ok(source.get(path, {"nodeId": node}))["id"] == made["id"], "it adds nodeId to calls by id"
    assert check_ok(source.put(path, {**body, "id": made["id"]}))["id"] == made["id"]
    check_empty(source.delete(path, {"nodeId": node}))
    check_error(source.get(path, {"nodeId": node}), 404)


def test_net_searches_by_id(source, node, mario):
    found = check_page(source.get("customers", {"nodeId": node, "query": json.dumps(simple("id", "EQUALS", mario["id"]))}))
    assert [customer["id"] for customer in found] == [mario["id"]]


def test_net_reads_me_and_the_extended_properties(source):
    check_ok(source.get("/me"))
    assert isinstance(check_ok(source.get("configuration/properties/extended")), dict)


def test_browser_library(untrusted, trusted, shared_node):
    headers = {"Contactlab-ClientId": "sdk-browser", "Accept": "application/json", "Content-Type": "application/json",
               "Origin": "https://shop.example"}
    session = new_id()
    event = {"type": "viewedPage", "context": "WEB", "contextInfo": {}, "properties": {"title": "t", "url": "https://shop.example/", "path": "/",
             "referer": ""}, "bringBackProperties": {"type": "SESSION_ID", "value": session, "nodeId": shared_node}, "tracking": {
             "ga": {"utm_source": "s", "utm_medium": "m", "utm_term": "", "utm_content": "", "utm_campaign": ""}}}
    identifier = check_ok(untrusted.post("events", event, headers=headers), 202)["id"]
    plain = {"type": "clickedLink", "context": "WEB", "bringBackProperties": event["bringBackProperties"]}
    check_ok(untrusted.post("events", plain, headers=headers), 202)
    made = check_ok(untrusted.post("customers", {"nodeId": shared_node, "externalId": unique("web"), "base": {"firstName": "W"}}, headers=headers), 201)
    path = f"customers/{made['id']}"
    check_ok(untrusted.post(f"{path}/sessions", {"value": session}, headers=headers), 201)
    check_ok(untrusted.patch(path, {"id": made["id"], "base": {"lastName": "X"}, "extra": None}, headers=headers))
    eventually(lambda: check_ok(trusted.get(f"events/{identifier}"))["customerId"] == made["id"])
    eventually(lambda: check_page(trusted.get("events", {"customerId": made["id"]}), total=2))


def test_magento_2(source, node, people):
    """A GET with a JSON content type and curl's idea of an empty body; dates without milliseconds; PATCH with the id."""
    customer = people.new({"base": {"firstName": "M"}})
    headers = {"Content-Type": "application/json", "X-Forwarded-Ssl": "on", "Accept": "application/json"}
    for raw, extra in ((b"", {"Content-Length": "0"}), (iter([]), {"Transfer-Encoding": "chunked"})):
        answer = source.request("GET", "customers", query={"nodeId": node}, raw=raw, headers={**headers, **extra})
        check_page(answer)
    check_ok(source.patch(f"customers/{customer['id']}", {"id": customer["id"], "base": {"lastName": "N"}}, headers=headers))
    event = {"customerId": customer["id"], "type": "completedOrder", "context": "ECOMMERCE", "date": "2020-06-01T12:00:00+0200", "properties": {
        "orderId": "100", "storeCode": "1", "amount": {"total": 10, "revenue": 8, "local": {"exchangeRate": 1, "currency": "EUR"}},
        "products": [{"id": "1", "sku": "s", "name": "n", "price": 8, "quantity": 1}]}}
    identifier = check_ok(source.post("events", event, headers=headers), 202)["id"]
    assert eventually(lambda: check_ok(source.get(f"events/{identifier}")))["date"] == "2020-06-01T10:00:00.000+0000"


def test_magento_1_ignores_a_session_that_is_bound(people, source):
    customer, value = people.new(), unique("session")
    check_ok(source.post(f"customers/{customer['id']}/sessions", {"value": value}), 201)
    answer = source.post(f"customers/{customer['id']}/sessions", {"value": value})
    check_status(answer, (200, 201, 400, 409), "(the client goes on whatever the second call says)")
    assert [session["value"] for session in check_ok(source.get(f"customers/{customer['id']}/sessions"))["elements"]] == [value]


def test_salesforce_posts_again_and_subscribes(source, node):
    body = mail(node)
    first = check_ok(source.post("customers", body), 201)
    again = source.post("customers", body)
    if again.status == 409:
        first_id = again.json["data"]["customer"]["id"]
        check_ok(source.patch(f"customers/{first_id}", {"base": body["base"]}))
    else:
        assert check_ok(again, 201)["id"] == first["id"]
    check_ok(source.post(f"customers/{first['id']}/subscriptions", {"id": "newsletter", "name": "Newsletter", "kind": "DIGITAL_MESSAGE",
                                                                   "subscribed": True, "startDate": "2020-06-01T12:00:00.000Z"}), 201)


@pytest.mark.parametrize("sort", ["registeredAt,desc", "updatedAt,DESC", "registeredAt,asc"])
def test_zapier_and_zendesk_sort(source, node, mario, sort):
    field, direction = sort.split(",")
    stamps = [instant(customer[field]) for customer in check_page(source.get("customers", {"nodeId": node, "sort": sort, "size": 50}))]
    assert stamps == sorted(stamps, reverse=direction.lower() == "desc")


def test_zendesk_sends_an_empty_value_with_is_null(source, node, mario):
    found = check_page(source.get("customers", {"nodeId": node, "query": json.dumps(simple("base.contacts.email", "IS_NOT_NULL", "")), "size": 50}))
    assert found


def test_zapier_shows_the_message(source):
    assert source.get("customers/123").json["message"]
    check_error(source.get("customers", token="bad"), 401, "The client is not authorized to access the API")
