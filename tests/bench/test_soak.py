"""What the soak takes for growth, and what for chance."""

import random
import unittest

from soak import grown, thirds

N = 200


def noise(n=N, spread=0.2):
    chance = random.Random(1)
    return [chance.uniform(-spread, spread) for _ in range(n)]


class Growth(unittest.TestCase):
    def test_thirds(self):
        self.assertEqual(thirds([1, 1, 2, 2, 3, 3]), [1, 2, 3])

    def test_a_slow_leak_is_growth(self):
        self.assertTrue(grown([20 + i * 4 / N + more for i, more in enumerate(noise())], 1.0))

    def test_warming_up_is_none(self):
        self.assertFalse(grown([min(10 + i, 40) + more for i, more in enumerate(noise())], 1.0))

    def test_chance_is_none(self):
        self.assertFalse(grown([20 + more for more in noise(spread=3)], 1.0))

    def test_a_peak_is_none(self):
        values = [20.0] * N
        values[-5:] = [60.0] * 5
        self.assertFalse(grown(values, 1.0))

    def test_one_step_is_none(self):
        self.assertFalse(grown([20.0] * (N * 2 // 3) + [32.0] * (N // 3), 1.0))

    def test_steps_that_go_on_are_growth(self):
        self.assertTrue(grown([20.0 + i // 10 for i in range(N)], 1.0))


if __name__ == "__main__":
    unittest.main()
