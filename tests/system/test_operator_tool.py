"""The operator's tool explains itself: no stack is asked for that."""

import os
import subprocess

import pytest

from conftest import CHECKOUT


def tool(*arguments):
    program = os.path.join(os.environ.get("CONTACTHUB_BIN") or CHECKOUT / "build/bin", "contacthubctl")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTACTHUB_")}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, env=environment, check=False)


@pytest.mark.parametrize("arguments, told", [
    (["--help"], ["migrate", "user create --name", "replay"]), (["user", "create", "--help"], ["user create --name"]),
    (["user", "--help"], ["user create --name", "user list"]), (["recount", "--help"], ["recount [--workspace ID]"])])
def test_help_is_no_failure(arguments, told):
    run = tool(*arguments)
    assert run.returncode == 0 and run.stderr == "" and all(words in run.stdout for words in told), run


@pytest.mark.parametrize("arguments, told", [
    (["nothing"], "there is no command \"nothing\""), (["dead-letters"], "dead-letters show TOPIC:PARTITION:OFFSET"),
    (["user", "made"], "user create --name"), (["token", "create"], "--user is missing")])
def test_what_is_wrong_is_told(arguments, told):
    run = tool(*arguments)
    assert run.returncode == 2 and run.stdout == "" and told in run.stderr, run
