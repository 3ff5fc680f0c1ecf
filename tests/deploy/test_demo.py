"""The demo's own parts, without a stack."""

import signal
import subprocess
import sys
import time

from parts import CHECKOUT

DEMO = CHECKOUT / "deploy/local"


def demo(code, **more):
    return subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(DEMO)!r}); import demo\n{code}"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def test_ctrl_c_ends_what_is_being_sent():
    """And does not wait for the calls that have not begun, nor for a server that does not answer."""
    with demo("print('begun', flush=True); api = demo.Api('http://127.0.0.1:9', 'w', 't'); "
              "demo.run_all('calls', [(api.request, 'GET', '/x')] * 10000)") as run:
        run.stdout.readline()
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        try:
            run.wait(5)
        finally:
            run.kill()
        assert "KeyboardInterrupt" in run.stderr.read()


def test_an_answer_that_no_longer_changes_is_not_waited_for():
    with demo("demo.STILL_SECONDS = 0.1; demo.SETTLE_SECONDS = 60; print(demo.settled(lambda: 1, 2))") as run:
        try:
            assert run.communicate(timeout=10)[0] == "1\n"
        finally:
            run.kill()
