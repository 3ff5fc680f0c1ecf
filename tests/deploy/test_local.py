"""The scripts of the local stack where no stack is needed."""

import fcntl
import os
import signal
import subprocess
import time

import pytest

from parts import CHECKOUT


def test_scripts_do_without_a_home(tmp_path):
    """As where a service manager starts them: the user's is taken."""
    surroundings = {"PATH": os.environ["PATH"], "CONTACTHUB_STACK": str(tmp_path / "no stack")}
    run = subprocess.run([str(CHECKOUT / "deploy/local/status")], env=surroundings, capture_output=True, text=True, timeout=10, check=False)
    assert run.returncode == 1 and "gateway            down" in run.stdout and not run.stderr, run


def script(name, stack, seconds=20):
    surroundings = os.environ | {"CONTACTHUB_STACK": str(stack)}
    return subprocess.run([str(CHECKOUT / "deploy/local" / name)], env=surroundings, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture
def left_behind(tmp_path):
    """A stack of which one process runs, and no supervisor any more."""
    stack = tmp_path / "a stack"
    supervise = stack / "service/gateway/supervise"
    supervise.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], env={"CONTACTHUB_STACK": str(stack)}) as process:
        (supervise / "pid").write_text(f"{process.pid}\n")
        yield stack, process
        process.kill()


def test_a_process_without_its_supervisor_is_told_and_ended(left_behind):
    stack, process = left_behind
    said = script("status", stack)
    assert said.returncode == 1 and f"gateway            down (but process {process.pid} runs" in said.stdout, said
    assert script("down", stack).returncode == 0
    assert process.poll() == -signal.SIGTERM
    assert script("status", stack).stdout == "gateway            down\n"


def test_a_number_that_is_somebody_elses_by_now_is_left_alone(left_behind):
    stack, process = left_behind
    other = stack.rename(stack.with_name("another stack"))
    assert script("status", other).stdout == "gateway            down\n"
    assert script("down", other).returncode == 0 and process.poll() is None


@pytest.fixture
def taken_over(left_behind):
    """The same, and a supervisor in the place of the one that was killed: it knows of no process."""
    stack, process = left_behind
    service = stack / "service/gateway"
    (service / "supervise/pid").unlink()
    (service / "process").write_text(f"{process.pid} {began(process.pid)}\n", encoding="ascii")
    (service / "down").touch()
    (service / "run").write_text(f"#!/bin/sh\nexport CONTACTHUB_STACK='{stack}' CONTACTHUB_BIN='{stack}'\n"
                                 f"exec {CHECKOUT}/deploy/local/service gateway\n", encoding="utf-8")
    (stack / "gateway").write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    for program in (service / "run", stack / "gateway"):
        program.chmod(0o755)
    for directory in ("environment", "logs"):
        (stack / directory).mkdir()
    with subprocess.Popen(["runsv", str(service)], stdout=subprocess.DEVNULL) as supervisor:
        await_that(lambda: (service / "supervise/ok").exists() and supervise("status", service).startswith("down"))
        yield stack, process, service
        supervise("force-shutdown", service)
        supervisor.kill()


def began(pid):
    """Ticks of the machine's clock at which a process began."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(") ")[2].split()[19]


def supervise(word, service):
    return subprocess.run(["sv", "-w", "5", word, str(service)], capture_output=True, text=True, timeout=20, check=False).stdout


def await_that(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_of_a_supervisor_that_was_killed_ends_before_the_next_one(taken_over):
    stack, process, service = taken_over
    assert f"gateway            down (but process {process.pid} runs" in script("status", stack).stdout
    supervise("up", service)
    await_that(lambda: process.poll() is not None)
    assert process.returncode == -signal.SIGTERM
    new = (service / "supervise/pid").read_text(encoding="ascii").strip()
    await_that(lambda: (service / "process").read_text(encoding="ascii") == f"{new} {began(new)}\n")
    assert script("status", stack).returncode == 0
    assert script("down", stack).returncode == 0


def test_a_process_of_a_supervisor_that_was_killed_is_ended_by_down(taken_over):
    stack, process, _ = taken_over
    assert script("down", stack).returncode == 0
    assert process.poll() == -signal.SIGTERM


def test_a_noted_number_that_is_somebody_elses_by_now_is_left_alone(left_behind):
    """Also when that is something of this stack."""
    stack, process = left_behind
    (stack / "service/gateway/process").write_text(f"{process.pid} {int(began(process.pid)) - 1}\n", encoding="ascii")
    assert script("status", stack).stdout == "gateway            down\n"
    assert script("down", stack).returncode == 0 and process.poll() is None


def test_one_script_at_a_time_changes_a_stack(tmp_path):
    with open(tmp_path / "up.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([str(CHECKOUT / "deploy/local/wipe")], env=os.environ | {"CONTACTHUB_STACK": str(tmp_path)}, text=True,
                              stdout=subprocess.PIPE) as wipe:
            assert wipe.stdout.readline().startswith("waiting for another script")
            assert (tmp_path / "up.lock").exists()
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert wipe.stdout.read() == "the stack is down\nthe data is deleted\n"
    assert not tmp_path.exists()


def test_a_directory_that_is_no_stack_is_not_wiped(tmp_path):
    for name in ("logs", "secrets", "pg"):
        (tmp_path / name).mkdir()
    said = script("wipe", tmp_path)
    assert said.returncode == 0 and "no stack is in" in said.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "pg", "secrets"]


@pytest.mark.parametrize("test, file", [("tests/faults/run", "tests/faults/faults.py"), ("tests/bench/soak", "tests/bench/stack.py"),
                                        ("tests/bench/run", "tests/bench/stack.py"), ("tests/tsan/run", "tests/tsan/load.py")])
def test_two_runs_do_not_share_a_stack(test, file):
    """The second one would wipe it."""
    with open(CHECKOUT / file, encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # such a run is at work
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("CONTACTHUB_")}
        run = subprocess.run([str(CHECKOUT / test)], env=surroundings, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 1 and "another run is at work in this checkout" in run.stderr, run


def test_an_interrupted_install_leaves_nothing(tmp_path):
    programs, cache = tmp_path / "bin", tmp_path / "cache"
    programs.mkdir()
    (programs / "mvn").write_text("#!/bin/sh\necho begun >&2\nsleep 30\n", encoding="utf-8")
    (programs / "dpkg-query").write_text("#!/bin/sh\nprintf installed\n", encoding="utf-8")
    for program in programs.iterdir():
        program.chmod(0o755)
    surroundings = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen([str(CHECKOUT / "deploy/local/install")], env=surroundings, start_new_session=True, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 20
        while not list(cache.rglob("log")) and time.monotonic() < deadline:
            time.sleep(0.05)
        begun = list(cache.rglob("log"))
        os.killpg(run.pid, signal.SIGINT)
        assert begun and run.wait(10) == 130
    assert not list((cache / "contacthub").iterdir())
