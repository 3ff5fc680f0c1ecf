"""The operations that the API has so far, as facts of its published contract: number, method, path below /hub/v1, status of
success, roles that may call it. The tests walk this table; the served OpenAPI document must hold exactly these."""

import collections

Operation = collections.namedtuple("Operation", "number method path status roles")

OPERATOR = frozenset({"CLAB_OPERATOR"})
CONFIGURE = OPERATOR | {"ADMIN"}
CONFIGURATION = CONFIGURE | {"USER", "GUEST"}
PROPERTIES = CONFIGURATION | {"TRUSTED_APPLICATION"}
READ = CONFIGURE | {"USER", "TRUSTED_APPLICATION"}
WRITE = READ | {"UNTRUSTED_APPLICATION"}
READ_WITH_GUEST = READ | {"GUEST"}
ALL_ROLES = frozenset({"CLAB_OPERATOR", "ADMIN", "USER", "GUEST", "DPO", "PLATFORM_UPDATES", "TRUSTED_APPLICATION",
                       "UNTRUSTED_APPLICATION"})
UPDATES = CONFIGURE | {"USER", "PLATFORM_UPDATES"}
PUBLIC = None

_W = "/workspaces/{workspaceId}"
_B = _W + "/nodes/{nodeId}/bulk-jobs"
_C = _W + "/customers/{customerId}"
_F = _W + "/configuration"
_N = _F + "/nodes/entries"
_A = _F + "/nodes/aggregates"
_T = _F + "/events/{eventType}"


def _items(first, name, parameter, created):
    """POST, GET, PUT, DELETE of one kind of item inside a customer."""
    one = f"{_C}/{name}/{{{parameter}}}"
    return [
        Operation(first, "POST", f"{_C}/{name}", created, WRITE),
        Operation(first + 1, "GET", one, 200, READ),
        Operation(first + 2, "PUT", one, 200, WRITE),
        Operation(first + 3, "DELETE", one, 200, READ),
    ]


_S = _W + "/stats"

OPERATIONS = [
    Operation(1, "GET", _C + "/stats/event-category-distribution", 200, READ_WITH_GUEST),
    Operation(2, "GET", _C + "/stats/buying-behaviors", 200, READ_WITH_GUEST),
    Operation(3, "GET", _S + "/info", 200, READ_WITH_GUEST),
    Operation(4, "GET", _S + "/nodes", 200, READ_WITH_GUEST),
    Operation(5, "GET", _S + "/customers-snapshot", 200, READ_WITH_GUEST),
    Operation(6, "GET", _S + "/added-customers", 200, READ_WITH_GUEST),
    Operation(7, "GET", _S + "/communication-channels", 200, READ_WITH_GUEST),
    Operation(8, "GET", _S + "/updated-customers", 200, READ_WITH_GUEST),
    Operation(9, "GET", _S + "/updated-events", 200, READ_WITH_GUEST),
    Operation(10, "GET", _S + "/event-type-context-distribution", 200, READ_WITH_GUEST),
    Operation(11, "GET", _S + "/events-kpi/purchases", 200, READ_WITH_GUEST),
    Operation(12, "GET", _S + "/events-kpi/ecommerce", 200, READ_WITH_GUEST),
    Operation(13, "GET", _S + "/events-kpi/web", 200, READ_WITH_GUEST),
    Operation(14, "GET", _B, 200, READ),
    Operation(15, "POST", _B, 201, READ),
    Operation(16, "GET", _B + "/{jobId}", 200, READ),
    Operation(17, "GET", _B + "/{jobId}/results", 200, READ),
    Operation(18, "GET", _F, 200, READ_WITH_GUEST),
    Operation(19, "PUT", _F, 200, CONFIGURE),
    Operation(20, "GET", _F + "/throttling", 200, CONFIGURATION),
    Operation(21, "PUT", _F + "/throttling", 200, OPERATOR),
    Operation(22, "GET", _F + "/events", 200, CONFIGURATION),
    Operation(23, "GET", _T, 200, CONFIGURATION),
    Operation(24, "PUT", _T, 200, CONFIGURE),
    Operation(25, "GET", _T + "/properties", 200, PROPERTIES),
    Operation(26, "GET", _T + "/properties/extended", 200, PROPERTIES),
    Operation(27, "PUT", _T + "/properties/extended", 200, CONFIGURE),
    Operation(28, "PUT", _T + "/enabled", 200, CONFIGURE),
    Operation(38, "GET", _F + "/events-payload-size", 200, CONFIGURATION),
    Operation(39, "PUT", _F + "/events-payload-size", 200, OPERATOR),
    Operation(40, "GET", _F + "/nodes", 200, CONFIGURATION),
    Operation(43, "GET", _N, 200, CONFIGURATION),
    Operation(44, "POST", _N, 201, CONFIGURE),
    Operation(45, "GET", _N + "/{nodeId}", 200, CONFIGURATION),
    Operation(46, "PUT", _N + "/{nodeId}", 200, CONFIGURE),
    Operation(47, "POST", _N + "/{nodeId}/empty", 200, CONFIGURE),
    Operation(52, "GET", _A, 200, CONFIGURATION),
    Operation(53, "POST", _A, 201, CONFIGURE),
    Operation(54, "GET", _A + "/{aggregateNodeId}", 200, CONFIGURATION),
    Operation(55, "PUT", _A + "/{aggregateNodeId}", 200, CONFIGURE),
    Operation(56, "PUT", _A + "/{aggregateNodeId}/state", 200, CONFIGURE),
    Operation(58, "GET", _F + "/properties/base", 200, PROPERTIES),
    Operation(59, "PUT", _F + "/properties/base/{name}", 200, CONFIGURE),
    Operation(60, "GET", _F + "/properties/extended", 200, PROPERTIES),
    Operation(61, "PUT", _F + "/properties/extended", 200, CONFIGURE),
    Operation(62, "GET", _F + "/sources", 200, CONFIGURATION),
    Operation(63, "POST", _F + "/sources", 201, CONFIGURE),
    Operation(64, "GET", _F + "/sources/{sourceId}", 200, CONFIGURATION),
    Operation(65, "PUT", _F + "/sources/{sourceId}", 200, CONFIGURE),
    Operation(66, "POST", _F + "/sources/{sourceId}/refresh-token", 200, CONFIGURE),
    Operation(67, "GET", _F + "/unique-customer-matching-policy", 200, CONFIGURATION),
    Operation(68, "GET", _N + "/{nodeId}/unique-customer-matching-policy", 200, CONFIGURATION),
    Operation(69, "PUT", _N + "/{nodeId}/unique-customer-matching-policy", 200, CONFIGURE),
    Operation(73, "GET", _F + "/customers/properties", 200, PROPERTIES),
    Operation(74, "PUT", _F + "/customers/properties/base/{baseProperty}/enabled", 200, CONFIGURE),
    Operation(77, "GET", _W + "/customers", 200, READ_WITH_GUEST),
    Operation(78, "POST", _W + "/customers", 201, WRITE),
    Operation(79, "GET", _C, 200, READ_WITH_GUEST),
    Operation(80, "PATCH", _C, 200, WRITE),
    Operation(81, "PUT", _C, 200, WRITE),
    *_items(82, "subscriptions", "propertyId", 201),
    Operation(86, "GET", _C + "/sessions", 200, READ),
    Operation(87, "POST", _C + "/sessions", 201, WRITE),
    Operation(88, "GET", _C + "/sessions/{sessionId}", 200, READ),
    Operation(89, "DELETE", _C + "/sessions/{sessionId}", 200, READ),
    Operation(90, "GET", _C + "/entries", 200, READ_WITH_GUEST),
    Operation(93, "GET", _W + "/events", 200, READ),
    Operation(94, "POST", _W + "/events", 202, WRITE),
    Operation(95, "GET", _W + "/events/{id}", 200, READ),
    Operation(96, "PUT", _W + "/events/{id}", 202, READ),
    Operation(97, "PATCH", _W + "/events/{id}", 202, READ),
    Operation(107, "GET", _W + "/updates/last-offset", 200, UPDATES),
    Operation(108, "GET", _W + "/updates", 200, UPDATES),
    Operation(98, "GET", "/workspaces/{workspaceId}/models/merge-policies", 200, CONFIGURATION),
    Operation(99, "GET", "/workspaces/{workspaceId}/models/providers", 200, CONFIGURATION),
    Operation(100, "GET", "/workspaces/{workspaceId}/models/contexts", 200, CONFIGURATION),
    Operation(109, "GET", "/me", 200, ALL_ROLES),
    Operation(110, "GET", "/workspaces", 200, CONFIGURE),
    Operation(111, "POST", "/workspaces", 201, OPERATOR),
    Operation(112, "GET", _W, 200, CONFIGURE),
    Operation(113, "PUT", _W + "/status", 200, OPERATOR),
    Operation(114, "GET", "/health", 200, PUBLIC),
    Operation(115, "DELETE", _C, 200, READ),
    *_items(116, "educations", "id", 200),
    *_items(120, "jobs", "id", 200),
    *_items(124, "likes", "id", 200),
    Operation(128, "DELETE", _W + "/events/{id}", 204, READ),
    Operation(129, "GET", "/docs/schema/{schemaPath}", 200, PUBLIC),
]

# Also served, beyond the numbered ones: is the process alive, may it get requests, what has it done, and the description of
# the API itself.
SYSTEM_PATHS = {"/health/live", "/health/ready", "/metrics"}

# Values for path parameters that name nothing which exists.
ABSENT = {
    "customerId": "00000000-0000-4000-8000-000000000000",
    "nodeId": "00000000-0000-4000-8000-000000000001",
    "aggregateNodeId": "00000000-0000-4000-8000-000000000005",
    "jobId": "00000000-0000-4000-8000-000000000006",
    "sourceId": "00000000-0000-4000-8000-000000000002",
    "id": "00000000-0000-4000-8000-000000000003",
    "sessionId": "00000000-0000-4000-8000-000000000004",
    "propertyId": "absent",
    "eventType": "viewedPage",
    "name": "absent",
    "baseProperty": "absent",
    "schemaPath": "absent.json",
}
