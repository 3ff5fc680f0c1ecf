"""Aggregate nodes for tests: made, waited for, looked into."""

from client import eventually, unique
from contract import check_error, check_ok, check_page

PATH = "configuration/nodes/aggregates"
EVENT = {"type": "viewedPage", "context": "WEB", "properties": {}}
BUILD_S = 20
FOLLOW_S = 10


def body_of(*nodes, **more):
    return {"name": unique("aggregate"), "description": "d", "imageUrl": "https://shop.example/logo.png", "entryNodes": list(nodes),
            "matchingProperties": {"properties": ["externalId"], "caseSensitive": False}, "exclusionFilters": [], **more}


def make(space, *nodes, **more):
    return check_ok(space.admin.post(PATH, body_of(*nodes, **more)), 201)


def state(space, node):
    return check_ok(space.admin.get(f"{PATH}/{node}"))["state"]


class Aggregate:
    """An ACTIVE aggregate node over two entry nodes, and a source that may use all three."""

    def __init__(self, space, **more):
        self.space = space
        self.shop, self.letter = space.node(["externalId"]), space.node(["externalId"])
        self.id = make(space, self.shop, self.letter, **{"state": "ACTIVE", **more})["id"]
        self.client = space.trusted(self.shop, self.letter, self.id)

    def ready(self):
        def active():
            assert state(self.space, self.id) == "ACTIVE", "a build comes to its end"
        eventually(active, timeout=BUILD_S)
        return self

    def new(self, node, external=None, **more):
        return check_ok(self.client.post("customers", {"nodeId": node, "externalId": external or unique("x"), **more}), 201)

    def profiles(self, **query):
        return check_page(self.client.get("customers", {"nodeId": self.id, "size": 50, **query}))

    def entries(self, profile, **query):
        return check_page(self.client.get(f"customers/{profile}/entries", {"page": 0, "size": 50, **query}))

    def of(self, *customers):
        """The profile that has exactly these entry customers, waited for."""
        wanted = sorted(customer["id"] for customer in customers)

        def found():
            for profile in self.profiles():
                if sorted(entry["id"] for entry in self.entries(profile["id"])) == wanted:
                    return check_ok(self.client.get(f"customers/{profile['id']}"))  # the list may be from before they joined
            raise AssertionError(f"{len(wanted)} customers become one profile within {FOLLOW_S} seconds")
        return eventually(found, timeout=FOLLOW_S)

    def gone(self, profile):
        eventually(lambda: check_error(self.client.get(f"customers/{profile['id']}"), 404), timeout=FOLLOW_S)

    def post_event(self, customer, **more):
        event = check_ok(self.client.post("events", {**EVENT, "customerId": customer["id"], **more}), 202)["id"]
        return eventually(lambda: check_ok(self.client.get(f"events/{event}")))

    def events(self, total, **query):
        return eventually(lambda: check_page(self.client.get("events", {"size": 50, **query}), total=total), timeout=FOLLOW_S)
