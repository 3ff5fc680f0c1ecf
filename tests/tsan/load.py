"""A load of everything for programs with ThreadSanitizer: the bench's mix, while each of our processes is restarted and killed."""

import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

import mix
from soak import OWN
from stack import Stack

SECONDS = 25
RATE = 0.15  # of the soak's: the programs are several times slower, and the processes are to be busy, not overrun


def restart(stack, pause_s):
    """Each process once by TERM and once by KILL, so that starting and stopping are looked at, too, also amid records."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for name in OWN:
            time.sleep(pause_s)
            stack.learn_pids()
            if name in stack.pids:
                os.kill(int(stack.pids[name]), how)


def main():
    stack = Stack()
    mix.prepare(stack)
    load = mix.Mix(stack, SECONDS, RATE, may_break=True)
    restart(stack, (SECONDS - 5) / (2 * len(OWN)))
    done, wrong = load.end()
    print("requests  " + ", ".join(f"{name} {n}" for name, n in done.items()))
    stack.rest()
    for fault in wrong:
        print(f"FAULT     {fault}")
    return 1 if wrong or not all(done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
