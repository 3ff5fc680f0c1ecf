"""Who is the same customer: matching policies, conflicts, external ids, untrusted sources."""

import http.client
import json
import urllib.parse

import pytest

from client import PREFIX, eventually, new_id, unique
from contract import check_customer, check_error, check_ok, check_page, check_status
from conftest import People


def external(node, value, **more):
    return {"nodeId": node, "externalId": value, **more}


def mail(node, value, **more):
    return {"nodeId": node, "base": {"contacts": {"email": value}, **more.pop("base", {})}, **more}


def new(client, body):
    return check_ok(client.post("customers", body), 201)


# --- policies --------------------------------------------------------------------------------------------------------------------


def test_matched_on_external_id(space):
    node = space.node(["externalId"], case_sensitive=True)
    client = space.trusted(node)
    value = unique("Ext")
    first = new(client, external(node, value))
    assert new(client, external(node, value, extra="x"))["id"] == first["id"]
    assert new(client, external(node, value.lower()))["id"] != first["id"], "caseSensitive compares letter by letter"
    check_error(client.post("customers", mail(node, "a@b")), 400, pointer="/externalId")


def test_matched_regardless_of_case(space):
    node = space.node(["base.contacts.email"], case_sensitive=False)
    client = space.trusted(node)
    value = f"{unique()}@Example.com"
    first = new(client, mail(node, value))
    second = new(client, mail(node, value.upper()))
    assert second["id"] == first["id"], "without caseSensitive the case of letters does not matter"
    assert second["base"]["contacts"]["email"] == value.upper(), "the value given last is kept as it was written"
    assert new(client, mail(node, f"é{value}"))["id"] == new(client, mail(node, f"É{value}"))["id"], "letters of every alphabet have case"


def test_case_sensitive_e_mail(space):
    node = space.node(["base.contacts.email"], case_sensitive=True)
    client = space.trusted(node)
    value = f"{unique()}@example.com"
    assert new(client, mail(node, value))["id"] != new(client, mail(node, value.upper()))["id"]


def test_two_properties_act_together(space):
    node = space.node(["base.lastName", "base.contacts.email"])
    client = space.trusted(node)
    address = f"{unique()}@example.com"
    first = new(client, mail(node, address, base={"lastName": "Rossi"}))
    assert new(client, mail(node, address, base={"lastName": "rossi"}))["id"] == first["id"]
    assert new(client, mail(node, address, base={"lastName": "Bianchi"}))["id"] != first["id"], "one equal property is not enough"
    body = check_error(client.post("customers", {"nodeId": node, "extra": "x"}), 400)
    assert {entry["path"] for entry in body["errors"]} == {"/base/lastName", "/base/contacts/email"}, "each missing property has its entry"
    check_error(client.post("customers", mail(node, address)), 400, pointer="/base/lastName")


def test_values_are_not_glued_together(space):
    node = space.node(["base.firstName", "base.lastName"], case_sensitive=True)
    client = space.trusted(node)
    stem = unique()
    pairs = [("a" + stem, "b"), ("a", stem + "b"), (stem + ",", "x"), (stem, ",x"), (stem + "|", "y"), (stem, "|y")]
    ids = [new(client, {"nodeId": node, "base": {"firstName": one, "lastName": two}})["id"] for one, two in pairs]
    assert len(set(ids)) == len(pairs), "different pairs are different customers"


def test_matched_on_an_extended_property(make_space):
    space = make_space("extended")
    check_ok(space.admin.put("configuration/properties/extended", {"card": {
        "type": "string", "contactlabProperties": {"label": "Card", "enabled": True, "maxLength": 40}}}))
    node = space.node(["extended.card"])
    client = space.trusted(node)
    first = new(client, {"nodeId": node, "extended": {"card": "C-1"}})
    assert new(client, {"nodeId": node, "extended": {"card": "c-1"}, "extra": "x"})["id"] == first["id"]
    check_error(client.post("customers", {"nodeId": node, "extra": "x"}), 400, pointer="/extended/card")


def test_nodes_do_not_share_customers(space):
    one, two = space.node(), space.node()
    client = space.trusted(one, two)
    address = f"{unique()}@example.com"
    assert new(client, mail(one, address))["id"] != new(client, mail(two, address))["id"], "uniqueness is within a node"


def test_external_id_is_shared_where_it_is_not_unique(space, node, source):
    people, value = People(source, node), unique("Ext")
    first, second = people.new({"externalId": value}), people.new({"externalId": value})
    assert first["id"] != second["id"]
    found = check_page(source.get("customers", {"nodeId": node, "externalId": value}), total=2)
    assert {customer["id"] for customer in found} == {first["id"], second["id"]}, "externalId finds every customer that has it"
    assert check_page(source.get("customers", {"nodeId": node, "externalId": value + "x"})) == [], "none is an empty list, not a failure"
    assert check_page(source.get("customers", {"nodeId": node, "externalId": value[:-1]})) == [], "externalId is an exact match"


def owner_of_event(client, node, external_id):
    """The customer that a new event with this external id belongs to."""
    event = {"type": "viewedPage", "context": "WEB", "properties": {},
             "bringBackProperties": {"type": "EXTERNAL_ID", "value": external_id, "nodeId": node}}
    made = check_ok(client.post("events", event), 202)["id"]
    return eventually(lambda: check_ok(client.get(f"events/{made}")))["customerId"]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_events_follow_an_external_id_in_any_letters(space, method):
    node = space.node(["externalId"])
    client = space.trusted(node)
    value = unique("Ext")
    first = new(client, external(node, value.upper()))
    assert owner_of_event(client, node, value.lower()) == first["id"]
    check_ok(getattr(client, method)(f"customers/{first['id']}", external(node, unique())))
    second = new(client, external(node, value.lower()))
    assert second["id"] != first["id"]
    assert owner_of_event(client, node, value.lower()) == second["id"], "the first customer has given it up, however it is written"
    assert owner_of_event(client, node, value.upper()) == second["id"]


def test_a_post_in_other_letters_gives_the_old_ones_up(space):
    """They alone do not mean the customer where its name must be the same, too."""
    node = space.node(["externalId", "base.lastName"])
    client = space.trusted(node)
    value = unique("Ext")
    first = new(client, external(node, value.upper(), base={"lastName": "A"}))
    assert owner_of_event(client, node, value.upper()) == first["id"]
    assert new(client, external(node, value.lower(), base={"lastName": "a"}))["id"] == first["id"]
    assert owner_of_event(client, node, value.lower()) == first["id"]
    assert owner_of_event(client, node, value.upper()) not in (None, first["id"]), "an event waits for nobody: its external id is ensured"


# --- conflicts ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["patch", "put"])
def test_collision_is_409_naming_the_other_customer(people, source, node, method):
    one, two = people.new({"base": {"firstName": "One"}}), people.new({"base": {"firstName": "Two"}})
    body = mail(node, one["base"]["contacts"]["email"].upper(), base={"firstName": "Three"})
    answer = getattr(source, method)(f"customers/{two['id']}", body)
    conflict = check_error(answer, 409, f"Conflict with exiting customer {one['id']}")
    assert conflict["errors"] == [] and set(conflict["data"]) == {"customer"}
    assert conflict["data"]["customer"]["id"] == one["id"], "data.customer names the existing customer"
    assert people.get(two["id"]) == two and people.get(one["id"]) == one, "a conflict changes nothing"


def test_href_of_a_conflict_is_absolute_and_can_be_patched(people, source, node):
    one, two = people.new(), people.new()
    href = check_error(source.patch(f"customers/{two['id']}", mail(node, one["base"]["contacts"]["email"])), 409)["data"]["customer"]["href"]
    parts = urllib.parse.urlsplit(href)
    assert parts.scheme in ("http", "https") and parts.netloc, f"href is an absolute URL: {href}"
    assert parts.path == f"{PREFIX}/workspaces/{source.workspace}/customers/{one['id']}", f"href is the customer's own address: {href}"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("PATCH", parts.path, json.dumps({"extra": "patched"}),
                       {"Authorization": f"Bearer {source.token}", "Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    assert people.get(one["id"])["extra"] == "patched"


def test_a_customer_does_not_collide_with_itself(people, source, node):
    one = people.new()
    address = one["base"]["contacts"]["email"]
    assert check_ok(source.patch(f"customers/{one['id']}", mail(node, address.upper())))["base"]["contacts"]["email"] == address.upper()


def test_a_changed_unique_value_moves_the_identity(people, source, node):
    one = people.new()
    old, fresh = one["base"]["contacts"]["email"], f"{unique()}@example.com"
    check_ok(source.patch(f"customers/{one['id']}", mail(node, fresh)))
    assert new(source, mail(node, fresh))["id"] == one["id"]
    assert new(source, mail(node, old))["id"] != one["id"], "the old value is free"


def test_removing_half_of_a_pair_frees_it(space):
    node = space.node(["base.lastName", "externalId"])
    client = space.trusted(node)
    value = unique()
    one = new(client, external(node, value, base={"lastName": "A"}))
    check_status(client.patch(f"customers/{one['id']}", {"externalId": unique()}), 200)
    assert new(client, external(node, value, base={"lastName": "A"}))["id"] != one["id"]


# --- untrusted sources never read ----------------------------------------------------------------------------------------------------


def only_id(answer, status):
    body = check_ok(answer, status)
    assert set(body) <= {"id"}, f"an untrusted source gets at most an id: {body}"
    return body


@pytest.fixture(scope="module")
def secret(trusted, shared_node):
    """A customer whose profile an untrusted source must never see."""
    return new(trusted, external(shared_node, unique("Secret"), extra="secret-extra", base={
        "firstName": "secret-name", "contacts": {"email": "secret@example.com"}}))


def test_untrusted_writes_answer_the_id_alone(untrusted, trusted, shared_node, secret):
    value = unique("Web")
    made = only_id(untrusted.post("customers", external(shared_node, value, base={"firstName": "A"})), 201)
    path = f"customers/{made['id']}"
    merged = only_id(untrusted.post("customers", external(shared_node, secret["externalId"], base={"lastName": "B"})), 201)
    assert merged["id"] == secret["id"], "posting somebody's key must not return that person's profile"
    only_id(untrusted.patch(path, {"base": {"firstName": "C"}}), 200)
    only_id(untrusted.put(path, external(shared_node, value, extra="x")), 200)
    for name, status in (("educations", 200), ("jobs", 200), ("likes", 200), ("subscriptions", 201)):
        item = {"id": "1", "subscribed": True} if name == "subscriptions" else {"id": "1"}
        only_id(untrusted.post(f"{path}/{name}", item), status)
        only_id(untrusted.put(f"{path}/{name}/1", item), 200)
    only_id(untrusted.post(f"{path}/sessions", {"value": unique()}), 201)
    only_id(untrusted.post("events", {"customerId": made["id"], "type": "viewedPage", "context": "WEB", "properties": {}}), 202)
    assert check_ok(trusted.get(path))["base"]["firstName"] == "C", "the writes took effect"


def test_untrusted_never_reads(untrusted, shared_node, secret):
    path = f"customers/{secret['id']}"
    for target in ("customers", path, f"{path}/sessions", f"{path}/jobs/1", f"{path}/subscriptions/1", "events", f"events/{new_id()}",
                   "configuration/sources", "configuration/nodes", "configuration/properties/base", "configuration/properties/extended"):
        answer = untrusted.get(target, {"nodeId": shared_node})
        check_error(answer, 403)
        assert "secret" not in answer.text
    for target in (path, f"{path}/jobs/1", f"{path}/subscriptions/1", f"{path}/sessions/x", f"events/{new_id()}"):
        check_error(untrusted.delete(target), 403)
    for method in ("PUT", "PATCH"):
        check_error(untrusted.request(method, f"events/{new_id()}", {}), 403)


@pytest.mark.parametrize("method", ["patch", "put"])
def test_untrusted_conflict_has_no_customer(untrusted, shared_node, secret, method):
    made = only_id(untrusted.post("customers", external(shared_node, unique("Web"))), 201)
    answer = getattr(untrusted, method)(f"customers/{made['id']}", external(shared_node, secret["externalId"]))
    body = check_error(answer, 409)
    assert body["data"] == {"customer": None}, f"a 409 for an untrusted source carries data.customer null: {answer!r}"
    assert "secret" not in answer.text.replace(secret["externalId"], "")


def test_untrusted_refusals_do_not_echo_the_profile(untrusted, shared_node, secret):
    answer = untrusted.post("customers", external(shared_node, secret["externalId"], base={"firstName": 5}))
    check_error(answer, 400, pointer="/base/firstName")
    assert "secret-name" not in answer.text and "secret@example.com" not in answer.text


def test_shape_of_a_customer_written_by_an_untrusted_source(untrusted, trusted, shared_node):
    made = only_id(untrusted.post("customers", external(shared_node, unique("Web"))), 201)
    check_customer(check_ok(trusted.get(f"customers/{made['id']}")))
