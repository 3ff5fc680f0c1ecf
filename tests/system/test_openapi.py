"""The served OpenAPI document drives requests at the running stack (schemathesis): no answer is a server error, each has a status,
content type and body that the document tells of. The same requests each time; paths name things that are there."""

import json
import os
import subprocess
import sys

import pytest

from client import PREFIX, masked
from conftest import CHECKOUT
from test_isolation import Things, filled_with
from test_transport import openapi

EXAMPLES = 3
RUN_SECONDS = 300
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What makes its workspace useless for the requests after it.
CLOSING = ("/status", "/throttling", "/events-payload-size", "/empty", "/enabled")


@pytest.fixture(scope="module")
def tool():
    """Where deploy/local/install --tests puts it."""
    run = subprocess.run(["bash", "-c", "source deploy/local/lib.sh; echo $SCHEMATHESIS"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    path = run.stdout.strip()
    assert os.path.isdir(path), "schemathesis is missing: run deploy/local/install --tests"
    return path


def things_for(method, path, spaces):
    """Reads, writes and what closes a workspace do not meet."""
    if method == "GET":
        return spaces["read"]
    return spaces["closed" if method == "DELETE" or path.endswith(CLOSING) else "written"]


def parameters_of(method, path, spaces):
    things = things_for(method, path, spaces)
    parts, values = path.strip("/").split("/"), filled_with(path, things.space.id, things).strip("/").split("/")
    chosen = {f"path.{part.strip('{}')}": value for part, value in zip(parts, values) if part.startswith("{")}
    if (method, path) == ("GET", "/workspaces/{workspaceId}/customers"):
        chosen["query.nodeId"] = things.node
    return chosen


def settings(admin, spaces):
    """The tool's settings: the caller, and for each operation values of the path that name something. JSON texts are TOML, too."""
    lines = ["[headers]", f"Authorization = {json.dumps('Bearer ' + admin.token)}"]
    for path, item in openapi(admin)["paths"].items():
        for method in item:
            chosen = parameters_of(method.upper(), path, spaces)
            lines += ["[[operations]]", f"include-name = {json.dumps(f'{method.upper()} {path}')}", "[operations.parameters]",
                      *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in chosen.items())]
    return "\n".join(lines) + "\n"


def test_every_answer_is_as_documented(tool, admin, make_space, tmp_path):
    operations = [method for item in openapi(admin)["paths"].values() for method in item]
    spaces = {name: Things(make_space(name)) for name in ("read", "written", "closed")}
    config = tmp_path / "settings.toml"
    config.write_text(settings(admin, spaces), encoding="utf-8")
    config.chmod(0o600)
    run = subprocess.run([sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{admin.url}{PREFIX}/openapi.json",
                          "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--seed", "1",
                          "--max-examples", str(EXAMPLES), "--no-color", "--continue-on-failure"],
                         cwd=tmp_path, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
                         env={**os.environ, "PYTHONPATH": tool, "NO_PROXY": "*"})
    assert run.returncode == 0, masked(run.stdout[-20_000:] + run.stderr[-2_000:])
    assert f"Tested: {len(operations)}" in run.stdout, "every operation of the document was tried"
    assert "returned only 401/403" not in run.stdout, "the requests came further than to the gateway's door"


def bounds_of(parameter):
    """(value, status) at the bounds of a number of the document, and beyond them."""
    schema = parameter["schema"]
    yield from ((schema["minimum"], 200), (schema["minimum"] - 1, 400))
    if "maximum" in schema:
        yield from ((schema["maximum"], 200), (schema["maximum"] + 1, 400))


def test_bounds_of_pages_are_those_of_the_document(admin, make_space):
    things = Things(make_space())
    seen = 0
    for path, item in openapi(admin)["paths"].items():
        known = {"nodeId": things.node, "page": 0, "size": 1}
        numbers = [one for one in item.get("get", {}).get("parameters", []) if one.get("name") in ("page", "size")]
        required = {one["name"]: known.get(one["name"]) for one in item.get("get", {}).get("parameters", [])
                    if one["in"] == "query" and one.get("required")}
        if path.endswith("/entries") and "customerId" in path:
            continue  # of profiles alone: test_aggregate_profiles.py
        for number in numbers:
            for value, status in bounds_of(number):
                answer = admin.get(filled_with(path, things.space.id, things), {**required, number["name"]: value})
                assert answer.status == status, f"GET {path} with {number['name']}={value}: {answer!r}"
                seen += 1
    assert seen > 30


def may_be(kind, schema):
    kinds = schema.get("type")
    return kinds == kind or isinstance(kinds, list) and kind in kinds


def inline_names(name, schema):
    """What generators of clients name after a component and its property: enumerations and objects that have no name of their own."""
    for key, value in schema.get("properties", {}).items():
        if "enum" in value or may_be("object", value):
            yield name + key[0].upper() + key[1:]


def nodes_of(value, place=""):
    if isinstance(value, dict):
        yield place, value
        for key, inner in value.items():
            yield from nodes_of(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from nodes_of(inner, place)


def test_generators_of_clients_find_no_name_twice(admin):
    """They leave operations out, without a failure, whose schemas would have one name."""
    schemas = openapi(admin)["components"]["schemas"]
    resolved = [schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema for schema in schemas.values()]
    titles = [schema["title"] for schema in resolved if "title" in schema]
    assert sorted(set(titles)) == sorted(titles)
    assert not {inline for name, schema in schemas.items() for inline in inline_names(name, schema)} & schemas.keys()
    wrapped = [name for name, schema in schemas.items() if len(schema.get("allOf", [])) == 1]
    inner = {schemas[name]["allOf"][0]["$ref"].rsplit("/", 1)[1] for name in wrapped}
    assert not [name for name in inner if list(inline_names(name, schemas[name]))], "what several are made of has names for its parts"


def test_lists_tell_what_is_in_them(admin):
    schemas = openapi(admin)["components"]["schemas"]
    assert not [place for place, schema in nodes_of(schemas) if may_be("array", schema) and "items" not in schema]


def test_nothing_is_an_object_or_a_list(admin):
    """Generators of clients make no type of that."""
    schemas = openapi(admin)["components"]["schemas"]
    assert not [place for place, schema in nodes_of(schemas) if may_be("array", schema) and "object" in schema["type"]]


def test_null_is_one_of_a_schemas_types(admin):
    """Generators of Java clients make code that does not compile of a type that is null alone."""
    assert not [place for place, schema in nodes_of(openapi(admin)["components"]["schemas"]) if schema.get("type") == "null"]


def test_objects_of_any_members_say_so(admin):
    """Neither does what they make of an object of which nothing is told."""
    told = ("properties", "additionalProperties")
    assert not [place for place, schema in nodes_of(openapi(admin)["components"]["schemas"])
                if may_be("object", schema) and not any(word in schema for word in told)]
