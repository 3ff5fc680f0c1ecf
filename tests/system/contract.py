"""Facts that every answer obeys, as checks whose failures say what the contract expects."""

import datetime
import re
import uuid

PAGE_FIELDS = {"size", "totalElements", "totalPages", "number", "totalUnfilteredElements", "maxElements", "maxPages"}
CUSTOMER_FIELDS = {"id", "intId", "externalId", "nodeId", "base", "consents", "extended", "extra", "tags", "enabled",
                   "registeredAt", "updatedAt", "version", "deleted", "sourceInfo"}
BASE_TEXTS = {"pictureUrl", "title", "prefix", "firstName", "lastName", "middleName", "gender", "dob", "locale", "timezone"}
BASE_OBJECTS = {"contacts", "address", "credential", "socialProfile"}
BASE_LISTS = {"educations", "likes", "jobs", "subscriptions"}
EVENT_FIELDS = {"id", "customerId", "bringBackProperties", "type", "properties", "context", "contextInfo", "date", "origin",
                "tracking", "registeredAt", "updatedAt", "version"}
UNAUTHORIZED = "The client is not authorized to access the API"
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")

CONTEXTS = ("WEB", "MOBILE", "ECOMMERCE", "RETAIL", "SOCIAL", "DIGITAL_CAMPAIGN", "CONTACT_CENTER", "IOT", "OTHER")

PASSIVE_TYPES = """addedReward removedReward grantedCoupon campaignBlacklisted campaignBounced campaignOptinRequested campaignSent
    eventEligible eventInvited eventNotInvited genericPassiveEvent orderShipped repliedTicket""".split()
ACTIVE_TYPES = """abandonedCart abandonedSession addedCompare addedProduct addedWishlist campaignLinkClicked campaignMarkedSpam
    campaignOpened campaignSubscribed campaignUnsubscribed changedSetting clickedLink closedTicket completedOrder
    eventConfirmed eventDeclined eventNoShow eventParticipated eventRegistered formCompiled genericActiveEvent loggedIn loggedOut
    openedTicket removedCompare removedProduct removedWishlist reviewedProduct searched serviceSubscribed serviceUnsubscribed
    surveyCompiled viewedPage viewedProduct viewedProductCategory""".split()
EVENT_TYPES = sorted(ACTIVE_TYPES + PASSIVE_TYPES)
# The only types whose properties have required keys.
MINIMAL_PROPERTIES = {
    "addedReward": {"rewardAmount": 10, "rewardTypeId": "points"},
    "removedReward": {"rewardAmount": 10, "rewardTypeId": "points"},
    "grantedCoupon": {"totalAmount": 5, "startValidityDate": "2024-01-01T00:00:00Z"},
}
# The only type whose properties may hold anything.
OPEN_TYPES = {"surveyCompiled"}


def check_json(answer):
    kind = answer.headers.get("content-type", "")
    assert kind.startswith("application/json"), f"every body is application/json, this is {kind!r}: {answer!r}"
    return answer.json


def check_status(answer, status, why=""):
    allowed = status if isinstance(status, tuple) else (status,)
    assert answer.status in allowed, f"must answer {' or '.join(map(str, allowed))} {why}: {answer!r}"
    return answer


def check_ok(answer, status=200, why=""):
    """Status of success and a JSON body."""
    check_status(answer, status, why)
    return check_json(answer)


def check_empty(answer, status=200):
    check_status(answer, status)
    assert answer.raw == b"", f"the answer to a DELETE has an empty body (client libraries take any body for a failure): {answer!r}"


def check_error(answer, status, message=None, pointer=None):
    """The error body has all four keys always; logref is a uuid; errors are {message, path, code, data} with a JSON pointer
    and a code that is text or null. Returns the body."""
    check_status(answer, status)
    body = check_json(answer)
    assert isinstance(body, dict) and {"message", "logref", "data", "errors"} <= set(body), \
        f"an error body has message, logref, data and errors, always: {answer!r}"
    assert isinstance(body["message"], str) and body["message"], f"message is a text: {answer!r}"
    uuid.UUID(body["logref"])
    assert body["data"] is None or isinstance(body["data"], dict), f"data is null or an object: {answer!r}"
    assert isinstance(body["errors"], list), f"errors is a list: {answer!r}"
    for entry in body["errors"]:
        assert {"message", "path", "code", "data"} <= set(entry), f"an entry of errors has message, path, code, data: {answer!r}"
        assert entry["code"] is None or isinstance(entry["code"], str), f"code is a text or null, never a number: {answer!r}"
        assert entry["path"] is None or entry["path"] == "" or entry["path"].startswith("/"), f"path is a JSON pointer: {answer!r}"
    if message is not None:
        assert body["message"] == message, f"the message must be {message!r}: {answer!r}"
    if pointer is not None:
        paths = [entry["path"] for entry in body["errors"]]
        assert pointer in paths, f"one entry of errors must point to {pointer}, they point to {paths}: {answer!r}"
    return body


def check_page(answer, size=None, number=None, total=None):
    """elements and all seven fields of page, consistent with each other. Returns the elements."""
    body = check_ok(answer)
    assert set(body) >= {"elements", "page"}, f"a paged list has elements and page: {answer!r}"
    page = body["page"]
    assert set(page) == PAGE_FIELDS, f"page has these seven fields: {sorted(PAGE_FIELDS)}: {page}"
    assert all(type(value) is int and value >= 0 for value in page.values()), f"the fields of page are numbers: {page}"
    assert len(body["elements"]) <= page["size"], f"a page holds at most size elements: {page}"
    pages = -(-page["totalElements"] // page["size"])
    assert page["totalPages"] == pages, f"totalPages = totalElements / size rounded up: {page}"
    if size is not None:
        assert page["size"] == size, f"size must be {size}: {page}"
    if number is not None:
        assert page["number"] == number, f"number must be the requested page, {number}: {page}"
    if total is not None:
        assert page["totalElements"] == total, f"totalElements must be {total}: {page}"
    return body["elements"]


def check_date_time(value, what="a date-time"):
    assert isinstance(value, str) and DATE_TIME.fullmatch(value), \
        f"{what} is written yyyy-MM-ddTHH:mm:ss.SSS+0000 (three digits, no colon, never Z), not {value!r}"
    return instant(value)


def instant(value):
    """Any of the written forms of a point in time, for comparing."""
    value = value.replace("Z", "+00:00")
    value = re.sub(r"([+-]\d\d)$", r"\1:00", value) if "T" in value else value
    value = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", value)
    parsed = datetime.datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.timezone.utc)


def check_customer(customer):
    """The whole shape of a customer: absent scalars and objects null, absent lists empty."""
    assert set(customer) == CUSTOMER_FIELDS, \
        f"a customer has exactly these fields: missing {CUSTOMER_FIELDS - set(customer)}, too many {set(customer) - CUSTOMER_FIELDS}"
    uuid.UUID(customer["id"])
    uuid.UUID(customer["nodeId"])
    assert type(customer["intId"]) is int and customer["intId"] > 0, "intId is a positive number"
    assert type(customer["version"]) is int and customer["version"] >= 1, "version starts at 1"
    assert customer["deleted"] == -1, "deleted is -1 while a customer lives"
    assert type(customer["enabled"]) is bool, "enabled is always present"
    check_date_time(customer["registeredAt"], "registeredAt")
    check_date_time(customer["updatedAt"], "updatedAt")
    assert set(customer["sourceInfo"]) == {"registeredBy", "updatedBy"}, "sourceInfo is {registeredBy, updatedBy}"
    base = customer["base"]
    fields = BASE_TEXTS | BASE_OBJECTS | BASE_LISTS
    assert isinstance(base, dict) and set(base) == fields, \
        f"base is always an object with all its fields: missing {fields - set(base or {})}, too many {set(base or {}) - fields}"
    for name in BASE_LISTS:
        assert isinstance(base[name], list), f"base.{name} is a list, empty when nothing was given"
    if base["contacts"] is not None:
        assert set(base["contacts"]) == {"email", "fax", "mobilePhone", "phone", "otherContacts", "mobileDevices"}, \
            "contacts has all its fields when any contact was given"
        assert isinstance(base["contacts"]["otherContacts"], list) and isinstance(base["contacts"]["mobileDevices"], list), \
            "lists inside contacts are empty lists when absent"
    return customer


def without_times(customer):
    """A customer without what a write changes by itself."""
    return {name: value for name, value in customer.items() if name not in ("updatedAt", "version", "sourceInfo")}


def stripped(value):
    """The value without nulls and empty containers, as client libraries compare it."""
    if isinstance(value, dict):
        kept = {name: stripped(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in (None, {}, [])}
    if isinstance(value, list):
        return [stripped(inner) for inner in value]
    return value
