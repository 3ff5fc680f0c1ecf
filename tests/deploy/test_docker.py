"""docker-compose.yml and the image against the programs, the settings and the local stack."""

import os
import re
import shutil
import subprocess

import pytest

from parts import (PROGRAMS, CHECKOUT, Dockerfile, check_command, document, key_values, processes, settings, shell_array, text)

COMPOSE = document("docker-compose.yml")
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "contacthub"}
# Where the containers' broker must differ from the local stack's: addresses and directories that `up` appends there.
OWN_BROKER_SETTINGS = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}
NO_BROKER_SETTINGS = {"KAFKA_HEAP_OPTS"}
# For the local stack alone, or for tests that are built.
NOT_IN_THE_IMAGE = {"postgresql-15", "runit", "openjdk-17-jre-headless", "maven", "python3", "python3-pip",
                    "libcmocka-dev", "libjansson-dev", "json-schema-test-suite"}


def test_every_process_is_a_service():
    assert set(OURS) == {*processes(), "setup"}
    assert set(SERVICES) - set(OURS) == {"postgres", "kafka"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_what_the_image_holds(name):
    check_command(OURS[name]["command"])
    assert name == "setup" or OURS[name]["command"] == [name]


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_given_settings(name):
    assert OURS[name]["environment"].keys() <= settings().keys()


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_after_what_it_needs(name):
    needs = {other: how["condition"] for other, how in OURS[name]["depends_on"].items()}
    if name == "setup":
        assert needs == {"postgres": "service_healthy", "kafka": "service_healthy"}
        assert OURS[name]["restart"] == "on-failure"
    else:
        assert needs == {"setup": "service_completed_successfully"}
        assert OURS[name]["restart"] == "always"


def test_one_service_builds_the_image_and_nobody_asks_a_registry_for_it():
    """Built for two services, the image is exported under its name twice at once, which Docker's newer image store refuses."""
    assert [name for name, service in SERVICES.items() if "build" in service] == ["setup"]
    assert {service.get("pull_policy") for service in OURS.values()} == {"never"}


def test_health_is_asked_for_with_what_the_image_holds():
    check_command(OURS["gateway"]["healthcheck"]["test"][1:])
    [script] = Dockerfile().scripts().values()
    assert "GET /hub/v1/health/ready " in script.read_text(encoding="utf-8")
    assert '.path = "/health/ready"' in text("gateway/routes.c")


def test_the_port_is_the_gateways():
    port = settings()["CONTACTHUB_LISTEN_PORT"]
    assert Dockerfile().port() == port
    assert [entry.rsplit(":", 1)[1] for entry in OURS["gateway"]["ports"]] == [port]


def test_variables_that_the_file_asks_for_are_in_the_example():
    asked = set(re.findall(r"\$\{(\w+)", text("docker-compose.yml")))
    asked |= {secret["environment"] for secret in COMPOSE["secrets"].values()}
    assert asked == key_values(text("deploy/docker/env.example")).keys()


def test_a_secret_is_a_file_where_the_settings_look():
    [secret] = COMPOSE["secrets"]
    for service in OURS.values():
        assert service["secrets"] == [secret]
        assert service["environment"]["CONTACTHUB_JWT_KEY_FILE"] == f"/run/secrets/{secret}"


def test_data_is_in_volumes():
    mounts = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) == {"postgres", "kafka"} and set(COMPOSE["volumes"]) <= mounts


def test_versions_are_those_that_the_tests_run_against():
    [kafka] = re.findall(r"<kafka.version>(.*)</kafka.version>", text("deploy/kafka/pom.xml"))
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
    [postgres] = re.findall(r"/usr/lib/postgresql/(\d+)/bin", text("deploy/local/lib.sh"))
    assert SERVICES["postgres"]["image"] == f"postgres:{postgres}"


def test_the_broker_has_the_local_brokers_settings():
    environment = SERVICES["kafka"]["environment"]
    given = {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
             for name, value in environment.items() if name not in NO_BROKER_SETTINGS}
    local = key_values(text("deploy/kafka/server.properties"))
    assert OWN_BROKER_SETTINGS <= given.keys() and not OWN_BROKER_SETTINGS & local.keys()
    shared = {key: value for key, value in given.items() if key not in OWN_BROKER_SETTINGS}
    for each in (shared, local):  # the order of a list means nothing
        each["listener.security.protocol.map"] = sorted(each["listener.security.protocol.map"].split(","))
    assert shared == local


def test_the_image_has_every_program():
    assert Dockerfile().programs() == {*processes(), "contacthubctl"}


def test_no_data_and_no_secrets_get_into_the_image():
    """Nor into the commit: both lists name what stacks, tests and provisioning leave in a checkout, tokens among it."""
    ignored = {line.strip("/") for line in text(".gitignore").splitlines()}
    assert {"*.env", ".stack", ".stack-*"} <= ignored
    assert {".git", *ignored} <= {line.removeprefix("**/") for line in text(".dockerignore").splitlines()}


def test_the_image_is_built_with_what_the_checkout_is_built_with():
    assert Dockerfile().packages(0) == set(shell_array("deploy/local/install", "RUN_PACKAGES")) - NOT_IN_THE_IMAGE


def needed_libraries(name):
    """Paths of the libraries that a program names itself, not those that they need in turn."""
    sections = subprocess.run(["readelf", "-d", PROGRAMS / name], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", sections)
    found = dict(re.findall(r"^\s*(\S+) => (\S+)", subprocess.run(["ldd", PROGRAMS / name], capture_output=True, text=True,
                                                                 check=True).stdout, re.M))
    return {found[library] for library in needed if library in found}


def package_of(library):
    """Debian's database may know a library below /lib or below /usr/lib, which are the same directory."""
    for path in (library, library.removeprefix("/usr"), "/usr" + library.removeprefix("/usr")):
        run = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            return run.stdout.split(":")[0]
    raise AssertionError(f"no package has {library}")


def test_the_image_has_the_libraries_that_the_programs_need_and_no_others():
    libraries = set().union(*(needed_libraries(name) for name in Dockerfile().programs()))
    assert {package_of(library) for library in libraries} - {"libc6"} == Dockerfile().packages(1) - {"ca-certificates"}


def provision(*arguments):
    return subprocess.run([str(CHECKOUT / "deploy/docker/provision"), *arguments], capture_output=True, text=True, timeout=10, check=False)


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_provision_says_what_it_does(word):
    run = provision(word)
    assert run.returncode == 0 and "provision FILE [URL]" in run.stdout and not run.stderr, run


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["x.env", "localhost:8080"], ["x.env", "http://localhost:1", "more"]])
def test_provision_refuses_what_it_does_not_know(arguments):
    """It would wait for a stack that is not there, and make files of such names."""
    run = provision(*arguments)
    assert run.returncode == 2 and "usage: " in run.stderr, run


@pytest.mark.parametrize("line, port", [("", 8080), ("CONTACTHUB_PORT=", 8080), ("CONTACTHUB_PORT=8081", 8081), ('CONTACTHUB_PORT="8081"', 8081),
                                        ("CONTACTHUB_PORT='8081' # free", 8081), ("CONTACTHUB_PORT=8081\r", 8081)])
def test_provision_finds_the_port_as_compose_does(tmp_path, line, port):
    for name in ("docker", "local"):
        (tmp_path / "deploy" / name).mkdir(parents=True)
    shutil.copy(CHECKOUT / "deploy/docker/provision", tmp_path / "deploy/docker")
    (tmp_path / "deploy/local/provision.py").write_text("import sys; print(sys.argv[-1])", encoding="utf-8")
    (tmp_path / ".env").write_bytes(f"CONTACTHUB_PG_PASSWORD=x\n{line}\n".encode())
    surroundings = {name: value for name, value in os.environ.items() if name != "CONTACTHUB_PORT"}
    run = subprocess.run([str(tmp_path / "deploy/docker/provision"), "x.env"], env=surroundings, capture_output=True, text=True, timeout=10, check=False)
    assert run.stdout == f"CONTACTHUB_URL=http://localhost:{port}\n", run
