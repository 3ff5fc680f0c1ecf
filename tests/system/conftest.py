"""Fixtures of the system tests: they speak to a running stack through HTTP and know nothing about its code."""

import concurrent.futures
import os
import pathlib
import subprocess

import pytest

from client import Client, eventually, holds_secret, keep_secret, masked, unique

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
KEYS = ("CONTACTHUB_URL", "CONTACTHUB_WORKSPACE", "CONTACTHUB_NODE", "CONTACTHUB_TOKEN", "CONTACTHUB_UNTRUSTED_TOKEN",
        "CONTACTHUB_ADMIN_TOKEN")
USER_ROLES = ("CLAB_OPERATOR", "ADMIN", "USER", "GUEST", "DPO", "PLATFORM_UPDATES")
CTL_SECONDS = 60

def stack_directory():
    return pathlib.Path(os.environ.get("CONTACTHUB_STACK") or CHECKOUT / ".stack")


def read_stack():
    if os.environ.get("CONTACTHUB_URL"):
        values = {key: os.environ.get(key) for key in KEYS}
    else:
        path = stack_directory() / "env"
        if not path.exists():
            pytest.exit("no stack: run deploy/local/up first, or set CONTACTHUB_URL and the other CONTACTHUB_ variables", 2)
        lines = path.read_text(encoding="utf-8").splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    missing = [key for key in KEYS if not values.get(key)]
    if missing:
        pytest.exit(f"the stack's settings lack {', '.join(missing)}", 2)
    return values


@pytest.fixture(scope="session")
def stack():
    """The running stack's addresses, ids and tokens by name."""
    return read_stack()


@pytest.fixture(scope="session")
def admin(stack):
    """A person with every role in every workspace; paths are those of the stack's own workspace."""
    return Client(stack["CONTACTHUB_URL"], stack["CONTACTHUB_ADMIN_TOKEN"], stack["CONTACTHUB_WORKSPACE"])


@pytest.fixture(scope="session")
def trusted(stack, admin):
    """The trusted source of the stack's own node, whose customers are matched on externalId."""
    return admin.with_token(stack["CONTACTHUB_TOKEN"])


@pytest.fixture(scope="session")
def untrusted(stack, admin):
    """The untrusted source of the stack's own node."""
    return admin.with_token(stack["CONTACTHUB_UNTRUSTED_TOKEN"])


@pytest.fixture(scope="session")
def shared_node(stack):
    return stack["CONTACTHUB_NODE"]


def contacthubctl(*arguments):
    """The words that the operator's tool prints."""
    environment = dict(os.environ, CONTACTHUB_STACK=str(stack_directory()))
    run = subprocess.run([str(CHECKOUT / "deploy/local/ctl"), *arguments], capture_output=True, text=True,
                         timeout=CTL_SECONDS, env=environment, check=False)
    assert run.returncode == 0, masked(f"contacthubctl {' '.join(arguments[:2])} failed: {run.stderr or run.stdout}")
    return run.stdout.split()


def psql_target():
    """Where the tables are; the stack's own tests know nothing else about them."""
    path = stack_directory() / "env"
    if os.environ.get("CONTACTHUB_URL") or not path.exists():
        pytest.skip("the stack's database is not on this machine")
    lines = dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    return lines["CONTACTHUB_PG"]


@pytest.fixture(scope="session")
def sql():
    """A function that runs one statement and returns its rows as lists of text."""
    target = psql_target()

    def run(statement):
        words = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", target, "-c", "SET search_path = contacthub",
                 "-c", statement]
        out = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, timeout=60).stdout
        return [line.split("\t") for line in out.splitlines()]
    return run


def make_user(admin, roles, *access):
    """A client with the token of a new user; access: further options of `contacthubctl user create`."""
    [user] = contacthubctl("user", "create", "--name", "Test", "--surname", "User", "--email", f"{unique()}@example.com",
                           "--roles", ",".join(roles), *(access or ("--all-workspaces",)))
    [token] = contacthubctl("token", "create", "--user", user, "--days", "1")
    client = admin.with_token(keep_secret(token))

    def known():
        assert client.get("/me").status == 200, "a new user must be known to every gateway within a second"
    eventually(known)
    return client


def make_source(admin, workspace, provider, nodes):
    """A client with the token of a new source made by the operator, who may use every provider."""
    options = [word for node in nodes for word in ("--node", node)]
    _, token = contacthubctl("source", "create", "--workspace", workspace, "--provider", provider, "--name", unique(),
                             *options)
    client = admin.with_token(keep_secret(token)).in_workspace(workspace)

    def known():
        assert client.get("/me").status == 200, "a new source must be known to every gateway within a second"
    eventually(known)
    return client


@pytest.fixture(scope="session")
def users(admin):
    """Role name -> client of a user that has this role alone, in all workspaces."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
        made = {role: pool.submit(make_user, admin, [role]) for role in USER_ROLES}
        return {role: future.result() for role, future in made.items()}


class Space:
    """A workspace of its own: what one test module makes and breaks."""

    def __init__(self, admin, name):
        answer = admin.post("/workspaces", {"name": name, "slug": unique("ws"), "groupPk": 1, "shard": "default"})
        assert answer.status == 201, f"POST workspaces must answer 201: {answer}"
        self.id = answer.json["id"]
        self.admin = admin.in_workspace(self.id)

    def node(self, properties=("base.contacts.email",), case_sensitive=False, mandatory=()):
        body = {"name": unique("node"), "mandatoryProperties": list(mandatory),
                "uniqueCustomer": {"properties": list(properties), "caseSensitive": case_sensitive}}
        answer = self.admin.post("configuration/nodes/entries", body)
        assert answer.status == 201, f"POST entry node must answer 201: {answer}"
        return answer.json["id"]

    def source(self, *nodes, **more):
        """(description, client) of a new trusted source on these nodes."""
        body = {"provider": "API", "name": unique("source"), "nodes": list(nodes), "enabled": True, **more}
        answer = self.admin.post("configuration/sources", body)
        assert answer.status == 201, f"POST source must answer 201: {answer}"
        description = answer.json
        return description, self.admin.with_token(description["token"])

    def trusted(self, *nodes):
        return self.source(*nodes)[1]


@pytest.fixture(scope="session")
def make_space(admin):
    """Factory of fresh workspaces."""
    return lambda name="test": Space(admin, f"{name} {unique()}")


@pytest.fixture(scope="module")
def space(make_space, request):
    """One fresh workspace per test module."""
    return make_space(request.module.__name__)


@pytest.fixture(scope="module")
def node(space):
    """A fresh node whose customers are matched on their e-mail address."""
    return space.node()


@pytest.fixture(scope="module")
def source(space, node):
    """A trusted source on that node."""
    return space.trusted(node)


class People:
    """Makes customers of one node."""

    def __init__(self, client, node):
        self.client = client
        self.node = node

    def post(self, body=None, **more):
        """The answer of a POST; a body without e-mail gets one of its own."""
        body = dict(body or {})
        body.setdefault("nodeId", self.node)
        base = body.get("base", {})
        if isinstance(base, dict):
            body["base"] = {**base, "contacts": {"email": f"{unique()}@example.com", **(base.get("contacts") or {})}}
        return self.client.post("customers", body, **more)

    def new(self, body=None, **more):
        answer = self.post(body, **more)
        assert answer.status == 201, f"POST customers must answer 201: {answer}"
        return answer.json

    def get(self, customer):
        answer = self.client.get(f"customers/{customer}")
        assert answer.status == 200, f"GET customer must answer 200: {answer}"
        return answer.json


@pytest.fixture(scope="module")
def people(source, node):
    return People(source, node)


# --- nothing that is printed holds a token ---------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    leaked = any(holds_secret(text) for _, text in report.sections)
    report.sections = [(name, masked(text)) for name, text in report.sections]
    if report.longrepr is not None:
        text = str(report.longrepr)
        if masked(text) != text:
            report.longrepr = masked(text)
    if leaked and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} printed a token"
