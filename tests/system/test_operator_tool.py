"""The operator's tool and the scripts of the local stack explain themselves: no stack is asked for that."""

import os
import subprocess

import pytest

from client import new_id
from conftest import CHECKOUT, stack_directory


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
    (["user", "made"], "user create --name"), (["token", "create"], "--user is missing"),
    (["replay", "--farce"], "--farce is not known")])
def test_what_is_wrong_is_told(arguments, told):
    run = tool(*arguments)
    assert run.returncode == 2 and run.stdout == "" and told in run.stderr, run


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


def script(name, stack, *arguments):
    return subprocess.run([str(CHECKOUT / "deploy/local" / name), *arguments], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "CONTACTHUB_STACK": str(stack)}, check=False)


@pytest.mark.parametrize("name", ["build", "demo", "down", "install", "replay", "status", "up", "wipe"])
def test_scripts_that_are_asked_what_they_do_do_nothing(name, tmp_path):
    (tmp_path / "env").write_text("kept")
    run = script(name, tmp_path, "--help")
    assert run.returncode == 0 and run.stdout and run.stderr == "", run
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_scripts_take_no_arguments_that_they_do_not_know(tmp_path):
    (tmp_path / "env").write_text("kept")
    run = script("wipe", tmp_path, "--dry-run")
    assert run.returncode == 1 and "--dry-run" in run.stderr and (tmp_path / "env").exists(), run
