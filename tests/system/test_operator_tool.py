"""The operator's tool, the processes and the scripts of the local stack explain themselves, and refuse what could not work."""

import os
import subprocess

import pytest

from client import eventually, new_id, unique
from conftest import CHECKOUT, contacthubctl, make_user, stack_directory
from contract import check_error, check_ok


def tool(*arguments, **settings):
    program = os.path.join(os.environ.get("CONTACTHUB_BIN") or CHECKOUT / "build/bin", "contacthubctl")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTACTHUB_")}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, env={**environment, **settings}, check=False)


@pytest.mark.parametrize("arguments, told", [
    (["--help"], ["migrate", "user create --name", "replay"]), (["user", "create", "--help"], ["user create --name"]),
    (["-h"], ["migrate", "replay"]), (["user", "create", "-h"], ["user create --name"]),
    (["user", "--help"], ["user create --name", "user list"]), (["recount", "--help"], ["recount [--workspace ID]"])])
def test_help_is_no_failure(arguments, told):
    run = tool(*arguments)
    assert run.returncode == 0 and run.stderr == "" and all(words in run.stdout for words in told), run


@pytest.mark.parametrize("arguments, told", [
    (["nothing"], "there is no command \"nothing\""), (["dead-letters"], "dead-letters show TOPIC:PARTITION:OFFSET"),
    (["user", "made"], "user create --name"), (["token", "create"], "--user is missing"),
    (["replay", "--farce"], "--farce is not known"),
    (["workspace", "create", "--name", b"\xff", "--slug", "a", "--group", "1"], "--name must be UTF-8"),
    (["workspace", "create", "--name", "a\nb", "--slug", "a", "--group", "1"], "--name must be UTF-8 without control characters"),
    (["workspace", "create", "--name", "a", "--slug", "a" * 256, "--group", "1"], "--slug must have at most 255 characters"),
    (["bulk-stop", b"\xff"], "argument 1 must be UTF-8")])
def test_what_is_wrong_is_told(arguments, told):
    run = tool(*arguments)
    assert run.returncode == 2 and run.stdout == "" and told in run.stderr, run


@pytest.mark.parametrize("arguments, told", [
    ([], "--workspace or --all-workspaces is missing"), (["--all-workspaces", "--workspace", new_id()], "--workspace or --all-workspaces, not both"),
    (["--all-workspaces", "--email", "nobody"], "--email must have an @")])
def test_a_user_who_could_do_nothing_is_not_made(arguments, told):
    """Nor one whose workspaces would be ignored."""
    email = [] if "--email" in arguments else ["--email", "a@example.com"]
    run = tool("user", "create", "--name", "A", "--surname", "B", "--roles", "USER", *email, *arguments)
    assert run.returncode == 2 and run.stdout == "" and told in run.stderr, run


def test_a_user_is_disabled_and_enabled(admin, stack):
    """Tokens of users cannot be taken back one by one: the user can."""
    user = make_user(admin, ["ADMIN"])
    number = str(check_ok(user.get("/me"))["id"])
    contacthubctl("user", "disable", "--user", number)
    eventually(lambda: check_error(user.get("/me"), 401))
    run = script("ctl", stack_directory(), "token", "create", "--user", number)
    assert run.returncode == 1 and run.stdout == "" and f"user {number} is disabled" in run.stderr, run
    [line] = [line for line in script("ctl", stack_directory(), "user", "list").stdout.splitlines() if line.startswith(number + " ")]
    assert line.endswith("(disabled)"), line
    contacthubctl("user", "enable", "--user", number)
    eventually(lambda: check_ok(user.get("/me")))
    run = script("ctl", stack_directory(), "user", "disable", "--user", "999999999")
    assert run.returncode == 1 and "there is no user 999999999" in run.stderr, run


def test_a_workspace_lies_in_a_partition_that_is_there(stack):
    """Whatever the settings say that topics get when they are created: these are there."""
    for _ in range(4):
        made = script("ctl", stack_directory(), "workspace", "create", "--name", unique(), "--slug", unique("ws"), "--group", "1",
                      CONTACTHUB_CUSTOMER_PARTITIONS="1024")
        assert made.returncode == 0, made


@pytest.mark.parametrize("arguments", [
    ["user", "create", "--name", "A", "--surname", "B", "--email", "a@example.com", "--roles", "USER"], ["recount"],
    ["source", "create", "--provider", "API", "--name", "A", "--node", new_id()]])
def test_a_workspace_that_is_not_there_is_told(stack, arguments):
    """A mistyped id would make a user who may use nothing, and find every counter of nobody right."""
    run = script("ctl", stack_directory(), *arguments, "--workspace", new_id())
    assert run.returncode == 1 and run.stdout == "" and "there is no workspace" in run.stderr, run


def test_a_node_that_is_not_there_is_told(stack):
    run = script("ctl", stack_directory(), "user", "create", "--name", "A", "--surname", "B", "--email", "a@example.com",
                 "--roles", "USER", "--workspace", stack["CONTACTHUB_WORKSPACE"], "--node", new_id())
    assert run.returncode == 1 and run.stdout == "" and "there is no node" in run.stderr, run


PG, KAFKA = "postgresql://contacthub@127.0.0.1:1/contacthub", "127.0.0.1:1"


def process(name, tmp_path, seconds=10, **settings):
    """How it ends that is started with such settings, within a few seconds; nothing is there that it could speak to."""
    key = tmp_path / "jwt.key"
    if not key.exists():
        key.write_text("0123456789abcdef0123456789abcdef")
    program = os.path.join(os.environ.get("CONTACTHUB_BIN") or CHECKOUT / "build/bin", name)
    settings = {"CONTACTHUB_PG": PG, "CONTACTHUB_KAFKA": KAFKA, "CONTACTHUB_JWT_KEY_FILE": str(key), **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTACTHUB_")}
    return subprocess.run([program], capture_output=True, text=True, timeout=seconds, env={**environment, **settings}, check=False)


@pytest.mark.parametrize("name", ["gateway", "customer-merge", "contacthubctl workspace list", "contacthubctl migrate", "contacthubctl replay"])
@pytest.mark.parametrize("uri", ["nonsense", "postgresql://contacthub:gehe%zzim@127.0.0.1:1/contacthub", "dbname=a port",
                                 "postgresql://contacthub:a@geheim@127.0.0.1:1/contacthub", "postgresql://contacthub:geheim/a@127.0.0.1:1/contacthub",
                                 "postgresql://contacthub:a/geheim@127.0.0.1:1/contacthub", "postgresql://contacthub:7/geheim@127.0.0.1:1/contacthub"])
def test_a_connection_that_is_none_is_told_without_the_password(name, uri, tmp_path):
    """libpq's own words quote it."""
    if name.startswith("contacthubctl "):
        run = tool(*name.split()[1:], CONTACTHUB_PG=uri, CONTACTHUB_KAFKA=KAFKA)
    else:
        run = process(name, tmp_path, CONTACTHUB_PG=uri)
    assert run.returncode in (1, 2) and "CONTACTHUB_PG is no connection URI" in run.stderr and "gehe" not in run.stderr, run


@pytest.mark.parametrize("url", ["hub.example.com", "ftp://hub.example.com", "https://", "https://hub example.com", 'https://hub.example.com/"'])
def test_an_address_that_links_cannot_begin_with_is_told(url, tmp_path):
    run = process("gateway", tmp_path, CONTACTHUB_PUBLIC_URL=url)
    assert run.returncode == 1 and "CONTACTHUB_PUBLIC_URL must be" in run.stderr, run


def make_keys(directory):
    for algorithm, options in (("RSA", ["rsa_keygen_bits:2048"]), ("EC", ["ec_paramgen_curve:P-256"]), ("EC", ["ec_paramgen_curve:P-384"])):
        name = algorithm.lower() + options[0][-3:]
        private = directory / f"{name}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, *[word for option in options for word in ("-pkeyopt", option)],
                        "-out", str(private)], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(directory / f"{name}.pub")], check=True, capture_output=True)


def test_a_key_that_does_not_fit_the_algorithm_is_told(tmp_path):
    """Otherwise the gateway is ready, and refuses every user; or a public key is the secret that anybody may sign with."""
    make_keys(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    for algorithm, path in (("RS256", "secret"), ("RS256", "ec256.pub"), ("RS256", "rsa048.pem"), ("ES256", "rsa048.pub"),
                            ("ES256", "ec384.pub"), ("HS256", "rsa048.pub"), ("HS256", "ec256.pub")):
        run = process("gateway", tmp_path, CONTACTHUB_JWT_ALGORITHM=algorithm, CONTACTHUB_JWT_KEY_FILE=str(tmp_path / path))
        assert run.returncode == 1 and "CONTACTHUB_JWT_KEY_FILE" in run.stderr, (algorithm, path, run)
    for algorithm, path in (("RS256", "rsa048.pub"), ("ES256", "ec256.pub"), ("HS256", "secret")):
        with pytest.raises(subprocess.TimeoutExpired):
            process("gateway", tmp_path, 1, CONTACTHUB_JWT_ALGORITHM=algorithm, CONTACTHUB_JWT_KEY_FILE=str(tmp_path / path))


def test_any_number_of_dead_letters_is_sent_again(sql):
    """Some 70 MB of them, more than the tool's memory for everything else."""
    header = "c1017f00" + "00" * 148 + (256 * 1024).to_bytes(4, "little").hex() # WARM_UP, which does nothing
    mine = "worker = 'test of many'"
    sql("INSERT INTO dead_letters (workspace_id, topic, partition, record_offset, worker, created_us, reason, record) "
        f"SELECT '{new_id()}', 'bulk-jobs', 0, 1000000000 + i, 'test of many', 1, 'none', decode('{header}', 'hex') || "
        "convert_to(repeat('x', 256 * 1024), 'UTF8') FROM generate_series(1, 270) i")
    try:
        contacthubctl("dead-letters", "rerun", "--all")
        assert sql(f"SELECT count(*), count(rerun_us) FROM dead_letters WHERE {mine}") == [["270", "270"]]
    finally:
        sql(f"DELETE FROM dead_letters WHERE {mine}")


def script(name, stack, *arguments, **environment):
    return subprocess.run([str(CHECKOUT / "deploy/local" / name), *arguments], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "CONTACTHUB_STACK": str(stack), **environment}, check=False)


@pytest.mark.parametrize("name", ["build", "demo", "down", "install", "replay", "service", "status", "up", "wipe"])
def test_scripts_that_are_asked_what_they_do_do_nothing(name, tmp_path):
    (tmp_path / "env").write_text("kept")
    run = script(name, tmp_path, "--help")
    assert run.returncode == 0 and run.stdout and run.stderr == "", run
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_scripts_take_no_arguments_that_they_do_not_know(tmp_path):
    (tmp_path / "env").write_text("kept")
    run = script("wipe", tmp_path, "--dry-run")
    assert run.returncode == 1 and "--dry-run" in run.stderr and (tmp_path / "env").exists(), run
