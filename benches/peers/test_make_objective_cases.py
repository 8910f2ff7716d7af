"""Tests of make_objective_cases.py: test_make_objective_cases.py CASES (the shared cases).

The formulas give every figure of the shared cases, each figure that is changed is noticed, gradients are central
differences of the loss, and what is made has the variety it is made for.
"""

import contextlib
import copy
import io
import json
import pathlib
import sys
import tempfile
import unittest
from typing import Any

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import make_objective_cases as cases

SHARED = pathlib.Path()


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and standard output."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = cases.main(list(arguments))
    return status, said.getvalue()


def read(path: pathlib.Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class MakeObjectiveCases(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def made(self, seed: int, count: int) -> list[Any]:
        path = self.scratch / f"{seed}.jsonl"
        self.assertEqual(run("make", str(path), "--seed", str(seed), "--count", str(count))[0], 0)
        return read(path)

    def test_the_shared_cases_are_reproduced(self) -> None:
        status, said = run("check", str(SHARED))
        self.assertEqual(status, 0, said)
        self.assertTrue(said.endswith(f"{len(read(SHARED))} passed, 0 failed\n"), said)

    def test_a_changed_figure_is_noticed(self) -> None:
        first = {case["kind"]: case for case in reversed(read(SHARED))}
        self.assertEqual(first.keys(), cases.KINDS.keys())
        path = self.scratch / "changed.jsonl"
        for case in first.values():
            for name, value in case["expected"].items():
                changed = copy.deepcopy(case)
                if isinstance(value, list):
                    changed["expected"][name][-1][0] += 1e-6
                else:
                    changed["expected"][name] = 1e-6 if value is None else value + 1e-6
                path.write_text(json.dumps(changed) + "\n")
                status, said = run("check", str(path))
                self.assertEqual(status, 1, f"{name} of {case['id']}")
                self.assertIn(name, said)

    def test_an_empty_file_fails(self) -> None:
        path = self.scratch / "empty.jsonl"
        path.write_text("")
        self.assertEqual(run("check", str(path))[0], 1)

    def test_a_seed_gives_the_same_cases(self) -> None:
        self.assertEqual(self.made(3, 26), self.made(3, 26))
        self.assertNotEqual(self.made(3, 26), self.made(4, 26))

    def test_gradients_are_differences_of_the_loss(self) -> None:
        step, compared = 1e-6, 0
        for case in self.made(5, 390):
            gradient = case["expected"].get("grad_log_prob")
            loss = next((case["expected"][name] for name in ("pg_loss", "loss") if name in case["expected"]), None)
            # Garbage is far outside, and nothing has no loss.
            if gradient is None or loss is None or min(map(min, case["inputs"]["log_prob"])) < -50:
                continue
            inputs, differences = case["inputs"], []
            for sign in (1, -1):
                moved = copy.deepcopy(inputs)
                moved["log_prob"][0][0] += sign * step
                found = cases.figures(case["kind"], case["config"], moved)
                differences.append(found.get("pg_loss", found.get("loss")))
            slope = (differences[0] - differences[1]) / (2 * step)
            self.assertAlmostEqual(slope, gradient[0][0], delta=1e-6 * max(1, abs(slope)), msg=case["id"])
            compared += 1
        self.assertGreater(compared, 30)

    def test_there_is_variety(self) -> None:
        made = self.made(6, 1300)
        kinds = {kind: [case for case in made if case["kind"] == kind] for kind in cases.KINDS}
        mixed = kinds["mixed_policy_loss"]

        def masks(name: str) -> list[list[bool]]:
            return [[bool(token) for row in case["inputs"][name] for token in row] for case in mixed]

        self.assertTrue(all(kinds.values()))
        self.assertTrue(any(case["expected"]["pg_loss"] is None for case in mixed))
        self.assertTrue(any(case["inputs"]["behaviour_prob"] for case in mixed))
        for name in ("response_mask", "off_policy_mask"):
            self.assertTrue(any(not any(mask) for mask in masks(name)), name)
            self.assertTrue(any(all(mask) for mask in masks(name)), name)
        for key in mixed[0]["config"]:
            self.assertGreater(len({case["config"][key] for case in mixed}), 1, key)
        for figure in mixed[0]["expected"].keys() - {"grad_log_prob", "off_pg_clipfrac"}:
            self.assertGreater(len({case["expected"][figure] for case in mixed}), 2, figure)
        sizes = [case["inputs"]["group"].count(name) for case in kinds["advantage"] for name in case["inputs"]["group"]]
        self.assertEqual(min(sizes), 1)
        self.assertTrue(any(list(dict.fromkeys(g)) != [n for i, n in enumerate(g) if not i or n != g[i - 1]]
                            for g in (case["inputs"]["group"] for case in kinds["advantage"])))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    SHARED = pathlib.Path(sys.argv.pop())
    unittest.main()
