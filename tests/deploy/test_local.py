"""The scripts of the local stack where no stack is needed."""

import os
import subprocess

from parts import CHECKOUT


def test_scripts_do_without_a_home(tmp_path):
    """As where a service manager starts them: the user's is taken."""
    surroundings = {"PATH": os.environ["PATH"], "CONTACTHUB_STACK": str(tmp_path / "no stack")}
    run = subprocess.run([str(CHECKOUT / "deploy/local/status")], env=surroundings, capture_output=True, text=True, timeout=10, check=False)
    assert run.returncode == 1 and "gateway            down" in run.stdout and not run.stderr, run
