"""Kafka behind TLS and SASL: a broker of its own with listeners that want them, and processes that are told so by their settings."""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from client import Client, unique
from conftest import CHECKOUT, stack_directory

USER, PASSWORD = "contacthub", "word-that-nobody-prints"
READY_SECONDS = 60
LISTENERS = ("PASSWORD", "CERTIFICATE", "CONTROLLER")
PROCESSES = ("configuration", "customer-merge", "gateway")

# The authority signs the broker, whose name is its address, and a client.
CERTIFICATES = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
for name in broker client; do
	openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
	openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo subjectAltName=IP:127.0.0.1) -out $name.pem
done
cat broker.key broker.pem >keystore.pem
"""

# Appended to the local stack's, of which they replace some.
PROPERTIES = """
listener.security.protocol.map=PASSWORD:SASL_SSL,CERTIFICATE:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CERTIFICATE
ssl.keystore.type=PEM
ssl.keystore.location={directory}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={directory}/ca.pem
listener.name.certificate.ssl.client.auth=required
listener.name.password.sasl.enabled.mechanisms=PLAIN
listener.name.password.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listeners={listeners}
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={directory}/data
"""


def free_ports(n):
    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    def __init__(self, directory):
        self.directory = directory
        self.ports = dict(zip(LISTENERS, free_ports(len(LISTENERS))))
        subprocess.run(["bash", "-ec", CERTIFICATES], cwd=directory, check=True, capture_output=True)
        shutil.copy(CHECKOUT / "deploy/kafka/server.properties", directory)
        with open(directory / "server.properties", "a", encoding="utf-8") as out:
            out.write(PROPERTIES.format(
                directory=directory, user=USER, password=PASSWORD, controller=self.ports["CONTROLLER"],
                listeners=",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())))
        made = self.run("kafka.tools.StorageTool", "format", "-t", "TWFueSBicm9rZXJzIGxpdmU", "-c", directory / "server.properties")
        assert made.wait(READY_SECONDS) == 0, (directory / "log").read_text()
        self.process = self.run("kafka.Kafka", directory / "server.properties")

    def run(self, program, *arguments):
        jars = subprocess.run(["bash", "-c", "source deploy/local/lib.sh; echo $KAFKA_JARS"], cwd=CHECKOUT, check=True,
                              capture_output=True, text=True).stdout.strip()
        with open(self.directory / "log", "a", encoding="utf-8") as log:
            return subprocess.Popen(
                [stack_directory() / "kafka/kafka", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 f"-Dlog4j2.configurationFile={CHECKOUT}/deploy/kafka/log4j2.xml", "-cp", f"{jars}/*", program, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def settings(self, listener, **more):
        return {"CONTACTHUB_KAFKA": f"127.0.0.1:{self.ports[listener]}", "CONTACTHUB_TOPIC_PREFIX": f"{listener.lower()}.",
                "CONTACTHUB_LOG_LEVEL": "2", **{f"CONTACTHUB_KAFKA_{name}": value for name, value in more.items()}}

    def stop(self):
        self.process.terminate()
        self.process.wait(READY_SECONDS)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    if not (stack_directory() / "kafka/kafka").exists():
        pytest.skip("the stack is not one of deploy/local/up: there is no Kafka to start another one with")
    broker = Broker(tmp_path_factory.mktemp("broker"))
    deadline = time.monotonic() + READY_SECONDS
    while not all(listens(port) for port in broker.ports.values()):
        assert broker.process.poll() is None and time.monotonic() < deadline, (broker.directory / "log").read_text()
        time.sleep(0.2)
    yield broker
    broker.stop()


def program(name):
    return os.path.join(os.environ.get("CONTACTHUB_BIN") or CHECKOUT / "build/bin", name)


def environment(settings):
    """That of the stack's processes, with other settings."""
    given = {path.name: path.read_text() for path in (stack_directory() / "environment").iterdir()}
    return {"PATH": os.environ["PATH"], **given, **settings}


def contacthubctl(settings, *arguments):
    return subprocess.run([program("contacthubctl"), *arguments], env=environment(settings), capture_output=True, text=True,
                          timeout=READY_SECONDS, check=False)


BY_PASSWORD = {"SECURITY": "sasl_ssl", "USER": USER, "PASSWORD": PASSWORD, "CA_FILE": "ca.pem"}
BY_CERTIFICATE = {"SECURITY": "ssl", "CA_FILE": "ca.pem", "CERTIFICATE_FILE": "client.pem", "KEY_FILE": "client.key"}


def in_directory(broker, more):
    return {name: str(broker.directory / value) if name.endswith("_FILE") else value for name, value in more.items()}


@pytest.mark.parametrize("listener, more", [("PASSWORD", BY_PASSWORD), ("CERTIFICATE", BY_CERTIFICATE)])
def test_a_broker_lets_in_who_shows_what_it_wants(broker, listener, more):
    run = contacthubctl(broker.settings(listener, **in_directory(broker, more)), "topics", "--timeout-ms", "30000")
    assert run.returncode == 0 and f"{listener.lower()}.event-commands" in run.stdout, run.stderr


@pytest.mark.parametrize("listener, more, told", [
    ("PASSWORD", {**BY_PASSWORD, "PASSWORD": "another-word"}, "Invalid username or password"),
    ("PASSWORD", {**BY_PASSWORD, "CA_FILE": "client.pem"}, "certificate verify failed"),
    ("PASSWORD", {**BY_PASSWORD, "SASL_MECHANISM": "SCRAM-SHA-512"}, "SCRAM-SHA-512"),
    ("PASSWORD", {}, "Timed out|did not answer in time"),
    ("CERTIFICATE", {"SECURITY": "ssl", "CA_FILE": "ca.pem"}, "certificate"),
    ("PASSWORD", {**BY_PASSWORD, "SECURITY": "tls"}, "CONTACTHUB_KAFKA_SECURITY"),
    ("PASSWORD", {**BY_PASSWORD, "CA_FILE": "none.pem"}, "ssl.ca.location"),
    ("PASSWORD", {**BY_PASSWORD, "USER": ""}, "sasl.username"),
    ("PASSWORD", {**BY_PASSWORD, "SECURITY": "ssl"}, "CONTACTHUB_KAFKA_USER is not used with CONTACTHUB_KAFKA_SECURITY=ssl"),
    ("PASSWORD", {"PASSWORD": PASSWORD}, "CONTACTHUB_KAFKA_PASSWORD is not used"),
    ("CERTIFICATE", {"CA_FILE": "ca.pem"}, "CONTACTHUB_KAFKA_CA_FILE is not used")])
def test_who_does_not_is_told_why(broker, listener, more, told):
    run = contacthubctl(broker.settings(listener, **in_directory(broker, more)), "topics", "--timeout-ms", "2000")
    assert run.returncode != 0 and re.search(told, run.stderr), run
    assert more.get("PASSWORD", PASSWORD) not in run.stdout + run.stderr


SCHEMA = "kafka_security"


@pytest.fixture
def secured(broker, tmp_path):
    """Base URL, workspace, node and token of processes whose Kafka is behind TLS and a password, in a schema of their own."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    settings = {**broker.settings("PASSWORD", **in_directory(broker, BY_PASSWORD)), "CONTACTHUB_PG_SCHEMA": SCHEMA,
                "CONTACTHUB_LISTEN_PORT": str(port), "CONTACTHUB_PUBLIC_URL": url}
    for command in ("migrate", "topics"):
        run = contacthubctl(settings, command)
        assert run.returncode == 0, run.stderr
    started = [subprocess.Popen([program(name)], env=environment(settings), stdin=subprocess.DEVNULL) for name in PROCESSES]
    try:
        provision = subprocess.run(
            ["python3", CHECKOUT / "deploy/local/provision.py", tmp_path / "env", str(READY_SECONDS), f"CONTACTHUB_URL={url}"],
            env={**environment(settings), "CONTACTHUB_CTL": program("contacthubctl")}, capture_output=True, text=True,
            timeout=2 * READY_SECONDS, check=False)
        assert provision.returncode == 0, provision.stderr
        yield dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(READY_SECONDS)
        subprocess.run(["psql", "-X", "-q", "-d", environment({})["CONTACTHUB_PG"], "-c", f"DROP SCHEMA {SCHEMA} CASCADE"], check=True,
                       env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"})


def test_what_is_written_goes_through_such_a_broker(secured):
    client = Client(secured["CONTACTHUB_URL"], secured["CONTACTHUB_TOKEN"], secured["CONTACTHUB_WORKSPACE"])
    made = client.post("customers", {"nodeId": secured["CONTACTHUB_NODE"], "externalId": unique("c"), "base": {"firstName": "Ada"}})
    assert made.status == 201, made
    assert client.get(f"customers/{made.json['id']}").json["base"]["firstName"] == "Ada"
