"""What holds for every operation: order of checks, error bodies, roles, CORS, method override, health, published documents."""

import pytest

from client import new_id, unique
from conftest import make_source, make_user
from contract import UNAUTHORIZED, check_empty, check_error, check_json, check_ok, check_page, check_status
from operations import ABSENT, ALL_ROLES, OPERATIONS, PUBLIC, SYSTEM_PATHS

BAD_TOKENS = ["", "0" * 64, "not-a-token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "a b"]
ROUTES = sorted({operation.path for operation in OPERATIONS})
METHODS = {path: {operation.method for operation in OPERATIONS if operation.path == path} for path in ROUTES}
# Headers that browsers of client libraries send.
BROWSER_HEADERS = {"authorization", "content-type", "accept", "contactlab-clientid", "contactlab-tracing-id", "x-tracing-id",
                   "x-http-method-override"}


def filled(path, **values):
    for name, value in {**ABSENT, **values}.items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path
    return path


def guarded(**facts):
    return [operation for operation in OPERATIONS if operation.roles is not PUBLIC
            and all(getattr(operation, name) == value for name, value in facts.items())]


def title(operation):
    return f"{operation.number}-{operation.method}"


# --- order of checks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", guarded(), ids=title)
def test_without_token_is_401(admin, operation):
    path = filled(operation.path, workspaceId=admin.workspace)
    check_error(admin.request(operation.method, path, body={} if operation.method in ("POST", "PUT", "PATCH") else None, token=None),
                401, UNAUTHORIZED)


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_bad_token_is_401_before_anything_else(admin, token):
    """Even where nodeId is missing and the workspace does not exist."""
    check_error(admin.get("customers", token=token), 401, UNAUTHORIZED)
    check_error(admin.get(f"/workspaces/{new_id()}/customers", token=token), 401, UNAUTHORIZED)


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "bearer", "Token abc", ""])
def test_other_authorization_schemes_are_401(admin, header):
    check_error(admin.get("customers", headers={"Authorization": header}, token=None), 401, UNAUTHORIZED)


def test_credentials_travel_in_the_header_alone(trusted, shared_node):
    answer = trusted.get("customers", {"nodeId": shared_node, "access_token": trusted.token, "token": trusted.token}, token=None)
    check_error(answer, 401, UNAUTHORIZED)
    answer = trusted.get("customers", {"nodeId": shared_node}, token=None, headers={"Cookie": f"token={trusted.token}"})
    check_error(answer, 401, UNAUTHORIZED)


@pytest.mark.parametrize("workspace", ["00000000-0000-4000-8000-000000000009", "123", "not-existing"])
def test_unknown_workspace_is_403_with_its_id(trusted, workspace):
    client = trusted.in_workspace(workspace)
    for path in ("customers", f"customers/{new_id()}", "events"):
        check_error(client.get(path), 403, f"workspace not found: {workspace}")
    check_error(client.post("customers", {"nodeId": "x"}), 403, f"workspace not found: {workspace}")


def test_a_foreign_workspace_looks_like_an_unknown_one(trusted, space):
    client = trusted.in_workspace(space.id)
    check_error(client.get("customers"), 403, f"workspace not found: {space.id}")
    check_error(client.get("configuration/sources"), 403, f"workspace not found: {space.id}")


@pytest.mark.parametrize("node", ["00000000-0000-4000-8000-000000000001", "123", "not-existing"])
def test_unknown_node_is_404_with_its_id(trusted, node):
    message = f"node not found {node}"
    check_error(trusted.get("customers", {"nodeId": node}), 404, message)
    check_error(trusted.post("customers", {"nodeId": node, "externalId": "x"}), 404, message)
    event = {"type": "viewedPage", "context": "WEB", "properties": {},
             "bringBackProperties": {"type": "SESSION_ID", "value": "x", "nodeId": node}}
    check_error(trusted.post("events", event), 404, message)


def test_role_is_checked_before_the_node(users, admin):
    """The order is: route, token, workspace, role, node."""
    check_status(users["DPO"].get("customers", {"nodeId": "not-existing"}), 403)


def test_workspace_is_checked_before_the_role(untrusted):
    workspace = new_id()
    answer = untrusted.in_workspace(workspace).get("customers", {"nodeId": "x"})
    check_error(answer, 403, f"workspace not found: {workspace}")


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/workspaces/x/nothing", "//", "//hub/v2/me", "//favicon.ico",
                                  "/workspaces/x/customers/y/z/w", "/me/x"])
def test_unknown_route_is_404_even_without_a_token(admin, path):
    for token in (None, admin.token):
        check_error(admin.request("GET", path or "/", token=token), 404, "Not Found")


@pytest.mark.parametrize("path, methods", sorted((path, tuple(sorted(methods))) for path, methods in METHODS.items()))
def test_wrong_method_is_405_with_its_name(admin, path, methods):
    target = filled(path, workspaceId=admin.workspace)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(methods):
        answer = admin.request(method, target, token=None)
        check_error(answer, 405, f"Request method '{method}' not supported")
        allowed = {word.strip() for word in answer.headers.get("allow", "").split(",")}
        assert set(methods) <= allowed, f"405 lists the methods that the route has in Allow: {answer.headers}"


def test_head_is_get_without_its_body(admin, source, people):
    """What watches a server, or asks for a size before it fetches, sends it."""
    customer = people.new()
    for client, path in ((admin, "/health/ready"), (admin, "/openapi.json"), (source, f"customers/{customer['id']}"), (source, "customers/nothing")):
        for _ in range(2):  # nothing of the first answer is left on the connection
            get, head = client.get(path), client.request("HEAD", path)
            assert (head.status, head.raw) == (get.status, b""), path
            assert {"content-type", "content-length"} <= head.headers.keys() and head.headers["content-type"] == get.headers["content-type"]
    assert "HEAD" in admin.request("POST", "/health").headers["allow"]


# --- roles ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def callers(users, admin, space, node):
    """Role -> client of somebody who has this role alone, all in one fresh workspace."""
    clients = {role: client.in_workspace(space.id) for role, client in users.items()}
    clients["TRUSTED_APPLICATION"] = space.trusted(node)
    clients["UNTRUSTED_APPLICATION"] = make_source(admin, space.id, "JavaScript", [node])
    return clients


@pytest.mark.parametrize("operation", guarded(), ids=title)
def test_roles(callers, operation, space):
    """Each role is let in or refused as the contract says; what is let in may still fail for its empty body or unknown id."""
    assert set(callers) == ALL_ROLES
    path = filled(operation.path, workspaceId=space.id)
    body = {} if operation.method in ("POST", "PUT", "PATCH") else None
    query = {"nodeId": ABSENT["nodeId"]} if operation.method == "GET" else None
    for role, client in callers.items():
        answer = client.request(operation.method, path, body=body, query=query)
        if role in operation.roles:
            assert answer.status not in (401, 403, 405, 501) and answer.status < 500, \
                f"{role} may call operation {operation.number}: {answer!r}"
        else:
            check_error(answer, 403)


def test_whoever_has_two_roles_may_do_what_either_may(admin):
    client = make_user(admin, ["GUEST", "DPO"])
    check_status(client.get("customers"), 400, "(a GUEST may list customers, but nodeId is missing)")
    check_error(client.post("customers", {}), 403)


def test_node_permissions_of_a_user(admin, space):
    """R reads, W writes, RW does both; a node without permission is refused."""
    readable, writable, other = space.node(), space.node(), space.node()
    client = make_user(admin, ["USER"], "--workspace", space.id, "--node", readable, "--permission", "R",
                       "--node", writable, "--permission", "W").in_workspace(space.id)
    person = {"base": {"contacts": {"email": f"{unique()}@example.com"}}}
    check_page(client.get("customers", {"nodeId": readable}))
    check_error(client.post("customers", {"nodeId": readable, **person}), 403)
    check_ok(client.post("customers", {"nodeId": writable, **person}), 201)
    check_error(client.get("customers", {"nodeId": writable}), 403)
    check_error(client.get("customers", {"nodeId": other}), 403)
    check_error(client.post("customers", {"nodeId": other, **person}), 403)


# --- browsers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
def test_preflight_needs_no_token(admin, path):
    answer = admin.options(filled(path, workspaceId=admin.workspace), token=None, headers={
        "Origin": "https://shop.example", "Access-Control-Request-Method": sorted(METHODS[path])[0],
        "Access-Control-Request-Headers": "authorization,content-type,contactlab-clientid"})
    assert answer.status in (200, 204), f"a preflight is answered with success: {answer!r}"
    assert answer.headers.get("access-control-allow-origin") == "*", f"any origin may call: {answer.headers}"
    methods = {word.strip() for word in answer.headers.get("access-control-allow-methods", "").split(",")}
    assert METHODS[path] <= methods, f"all methods of the route are allowed, {METHODS[path]}: {methods}"
    headers = {word.strip().lower() for word in answer.headers.get("access-control-allow-headers", "").split(",")}
    assert BROWSER_HEADERS <= headers, f"the headers of client libraries are allowed; missing {BROWSER_HEADERS - headers}"


def test_cors_header_on_every_answer(trusted, shared_node):
    answers = [trusted.get("customers", {"nodeId": shared_node}), trusted.get("customers", token=None), trusted.get("/nothing"),
               trusted.get(f"customers/{new_id()}"), trusted.delete("customers"), trusted.post("customers", raw=b"{"),
               trusted.get("/health"), trusted.in_workspace("x").get("customers")]
    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == "*", f"errors are for browsers, too: {answer!r} {answer.headers}"
        assert "Retry-After" in answer.headers.get("access-control-expose-headers", ""), f"a browser may read when to come again: {answer.headers}"


def test_method_override_on_post(people, source):
    customer = people.new({"base": {"firstName": "Anna"}})
    path = f"customers/{customer['id']}"
    answer = source.post(path, {"base": {"firstName": "Berta"}}, headers={"X-HTTP-Method-Override": "PATCH"})
    assert check_ok(answer)["base"]["firstName"] == "Berta", "POST with X-HTTP-Method-Override: PATCH is a PATCH"
    check_empty(source.post(path, headers={"X-HTTP-Method-Override": "DELETE"}))
    check_error(source.get(path), 404)


def test_method_override_is_for_post_alone(people, source):
    customer = people.new()
    path = f"customers/{customer['id']}"
    check_ok(source.get(path, headers={"X-HTTP-Method-Override": "DELETE"}))
    check_ok(source.get(path))


def test_get_with_content_type_and_without_body(source, node):
    check_page(source.get("customers", {"nodeId": node}, headers={"Content-Type": "application/json"}))
    check_page(source.get("customers", {"nodeId": node}, headers={"Content-Type": "application/json", "Content-Length": "0"}))
    check_page(source.get("customers", {"nodeId": node}, raw=iter([]), headers={"Transfer-Encoding": "chunked"}))


# --- health and documents --------------------------------------------------------------------------------------------------


def test_health_is_public(admin):
    check_ok(admin.get("/health", token=None))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_liveness_and_readiness_apart(admin, path):
    check_ok(admin.get(path, token=None))


# The names under which a client library's class builder fetched them.
SCHEMAS = ["enums.json", "event/viewedPage.post.json", "event/completedOrder.post.json", "event/context/contact-center.json",
           "event/context/digital-campaign.json", "event/context/ecommerce.json", "event/context/mobile.json",
           "event/context/retail.json", "event/tracking.json", "base-property/base-properties.json", "consents/consents.json",
           "event/user.json", "event/context/WEB.json"]


@pytest.mark.parametrize("path", SCHEMAS)
def test_schema_documents_are_public(admin, path):
    document = check_ok(admin.get(f"/docs/schema/{path}", token=None))
    assert isinstance(document, dict) and document, f"{path} is a JSON schema document"


@pytest.mark.parametrize("path", ["nothing.json", "event/nothing.post.json", "event/", "%2e%2e/%2e%2e/etc/passwd",
                                  "..%2f..%2f..%2fetc%2fpasswd", "event/%00.json", "a" * 2000])
def test_other_schema_paths_are_404(admin, path):
    check_error(admin.get(f"/docs/schema/{path}", token=None), 404)


def openapi(admin):
    for path in ("/openapi.json", "/docs/openapi.json"):
        answer = admin.get(path, token=None)
        if answer.status == 200:
            return check_json(answer)
    raise AssertionError("the OpenAPI document is served without a token")


def shape(path):
    """The path with every parameter as {}: names are the document's own."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_openapi_document_and_operations_agree(admin):
    document = openapi(admin)
    assert document["openapi"].startswith("3."), "the served document is OpenAPI 3"
    base = document["servers"][0]["url"] if document.get("servers") else ""
    prefix = "" if base.rstrip("/").endswith("/hub/v1") else "/hub/v1"
    served = {(method.upper(), shape(path.removeprefix(prefix))) for path, item in document["paths"].items() for method in item
              if method in ("get", "post", "put", "patch", "delete")}
    expected = {(operation.method, shape(operation.path)) for operation in OPERATIONS}
    assert not expected - served, f"operations that the document lacks: {sorted(expected - served)}"
    extra = {entry for entry in served - expected if entry[1] not in SYSTEM_PATHS and "openapi" not in entry[1]}
    assert not extra, f"nothing half-built is reachable; the document has more: {sorted(extra)}"


def test_openapi_document_names_success_and_errors(admin):
    document = openapi(admin)
    by_shape = {(method.upper(), shape("/" + path.split("/hub/v1")[-1].lstrip("/"))): item[method]
                for path, item in document["paths"].items() for method in item if isinstance(item[method], dict)}
    for operation in OPERATIONS:
        described = by_shape.get((operation.method, shape(operation.path)))
        assert described, f"operation {operation.number} is described"
        assert str(operation.status) in described["responses"], \
            f"operation {operation.number} succeeds with {operation.status}: {sorted(described['responses'])}"


@pytest.mark.parametrize("method, path, status", [
    ("get", "/workspaces/{workspaceId}/nodes/{nodeId}/bulk-jobs/{jobId}/results", 409),
    ("put", "/workspaces/{workspaceId}/configuration/nodes/aggregates/{aggregateNodeId}", 423)])
def test_openapi_document_names_what_does_not_follow_from_the_method(admin, method, path, status):
    assert str(status) in openapi(admin)["paths"][path][method]["responses"]


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_openapi_document_tells_bad_health_as_it_is_told(admin, path):
    """Whoever watches reads which part is down; it is no error body."""
    document = openapi(admin)
    [schema] = {str(document["paths"][path]["get"]["responses"][status]["content"]["application/json"]["schema"]) for status in ("200", "503")}
    assert schema.endswith("/Health'}")
    told = document["components"]["schemas"]["Health"]["properties"]["components"]["required"]
    assert sorted(check_ok(admin.get(path, token=None))["components"]) == sorted(told)


STATS = "/workspaces/{workspaceId}/stats"


@pytest.mark.parametrize("path, name, default", [
    ("/workspaces/{workspaceId}/customers/{customerId}/stats/event-category-distribution", "mode", "DAILY"),
    (f"{STATS}/added-customers", "mode", "MONTHLY"), (f"{STATS}/updated-customers", "type", "ADDED"),
    (f"{STATS}/updated-events", "type", "ADDED"), (f"{STATS}/event-type-context-distribution", "context", "ALL"),
    (f"{STATS}/events-kpi/purchases", "type", "ALL"), ("/workspaces/{workspaceId}/updates", "size", 50),
    ("/workspaces/{workspaceId}/nodes/{nodeId}/bulk-jobs", "size", 50), (f"{STATS}/nodes", "size", 20)])
def test_openapi_document_names_defaults(admin, path, name, default):
    operation = openapi(admin)["paths"][path]["get"]
    assert operation["description"]
    [parameter] = [one for one in operation["parameters"] if one.get("name") == name]
    assert parameter["schema"]["default"] == default


def test_openapi_parameters_that_are_required_have_no_default(admin):
    for path, item in openapi(admin)["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", []):
                assert not (parameter.get("required") and "default" in parameter["schema"]), f"{method} {path}: {parameter}"


@pytest.mark.parametrize("path", [
    "consent-logs", "models/providers", "models/contexts",
    "configuration/users", "configuration/nodes/aggregates", "configuration/retention-policy"])
def test_what_is_not_built_yet_is_404(admin, path):
    """These operations come later; until then the route does not exist."""
    if not any(operation.path.endswith("/" + path) for operation in OPERATIONS):
        check_error(admin.get(path), 404, "Not Found")
