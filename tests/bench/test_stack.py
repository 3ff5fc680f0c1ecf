"""Which stack it is, and when the workers are taken to be at rest."""

import os
import pathlib
import subprocess
import sys
import unittest

from stack import FOLLOWERS, ROOT, Stack


class Seen(Stack):
    """A stack whose offsets are given, look by look."""

    def __init__(self, looks, running=FOLLOWERS):
        self.looks, self.pids, self.n = looks, dict.fromkeys(running, "1"), 0

    def position(self, worker=None):
        self.n += worker is None
        look = self.looks[min(self.n, len(self.looks)) - 1]
        return look[worker] if worker else sum(look.values())


def look(statistics, aggregates, events=100):
    return dict(zip((*FOLLOWERS, "event-ingest"), (statistics, aggregates, events)))


class Own(unittest.TestCase):
    def stack_of(self, **variables):
        code = "import stack; print(stack.STACK)"
        surroundings = {"PATH": os.environ["PATH"]} | variables
        return subprocess.run([sys.executable, "-B", "-c", code], env=surroundings, cwd=pathlib.Path(__file__).parent, check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def test_a_stack_that_somebody_uses_is_not_taken(self):
        """It is wiped."""
        self.assertEqual(self.stack_of(CONTACTHUB_STACK="/srv/hub"), str(ROOT / ".stack-bench"))
        self.assertEqual(self.stack_of(CONTACTHUB_STACK="/srv/hub", CONTACTHUB_BENCH_STACK="/srv/bench"), "/srv/bench")


class Rest(unittest.TestCase):
    def looks(self, *looks, **more):
        stack = Seen(looks, **more)
        stack.rest(pause_s=0)
        return stack.n

    def test_at_once_when_nothing_moves(self):
        self.assertEqual(self.looks(look(9, 9)), 2)

    def test_not_while_something_moves(self):
        self.assertEqual(self.looks(look(9, 9, 1), look(9, 9, 2), look(9, 9, 3)), 4)

    def test_not_amid_a_long_transaction_of_a_follower(self):
        self.assertEqual(self.looks(look(5, 9), look(5, 9), look(5, 9), look(9, 9)), 5)

    def test_a_follower_that_is_down_is_not_waited_for(self):
        self.assertEqual(self.looks(look(5, 9), running=FOLLOWERS[1:]), 2)


if __name__ == "__main__":
    unittest.main()
