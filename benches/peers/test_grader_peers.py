"""Tests of grader_peers.py and of what grader_worker.py takes from a row: python3 test_grader_peers.py.

The graders are stand-ins of a few lines, so the environment of grader_venv.py is not needed.
"""

import pathlib
import sys
import tempfile
import unittest

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import grader_peers
import grader_worker
import page
from grader_peers import Pass

# Answers what the row says; hangs or dies where told.
STAND_IN = """
import json, os, sys, time
print(json.dumps({"versions": {"stand-in": "1"}}), flush=True)
for line in sys.stdin:
    row = json.loads(line)
    if row["do"] == "hang":
        time.sleep(60)
    if row["do"] == "die":
        os._exit(3)
    print(json.dumps({"correct": row["do"] == "yes", "cpu": 0.25, "wall": 0.5, "error": None}), flush=True)
"""


def rows(*doings):
    return [{"do": doing} for doing in doings]


class Passes(unittest.TestCase):
    def graded(self, *doings, limit=10.0):
        return grader_peers.peer_pass([sys.executable, "-c", STAND_IN], rows(*doings), rows("yes"), limit)

    def test_verdicts_and_seconds_come_in_order(self):
        one = self.graded("yes", "no", "yes")
        self.assertEqual(one.correct, [True, False, True])
        self.assertEqual((one.seconds, one.total), ([0.25] * 3, 0.75))

    def test_a_row_that_hangs_is_stopped_and_the_next_one_is_graded(self):
        one = self.graded("yes", "hang", "yes", limit=2.0)
        self.assertEqual((one.correct, one.killed), ([True, False, True], {1}))
        self.assertEqual(one.seconds, [0.25, 2.0, 0.25])

    def test_a_grader_that_dies_is_wrong_and_the_next_row_is_graded(self):
        one = self.graded("die", "yes")
        self.assertEqual((one.correct, one.errors["crashed"]), ([False, True], 1))

    def test_or_asks_the_second_grader_where_the_first_says_no(self):
        both = grader_peers.or_pass(Pass([True, False, False], [1, 1, 1]), Pass([False, True, False], [5, 7, 9]))
        self.assertEqual(both.correct, [True, True, False])
        self.assertEqual((both.seconds, both.total), ([1, 8, 10], 19))


class Figures(unittest.TestCase):
    def test_accuracy_tells_the_two_mistakes_apart(self):
        said, right = [True, False, False, True], [True, True, True, False]
        self.assertEqual(grader_peers.accuracy(said, right), (0.25, 2, 1))

    def test_quantiles_are_values_that_occurred(self):
        hundred = list(range(1, 101))
        found = [grader_peers.quantile(hundred, q) for q in (0.5, 0.95, 0.99, 1)]
        self.assertEqual(found, [50, 95, 99, 100])
        self.assertEqual(grader_peers.quantile([7], 0.5), 7)

    def test_rates_are_medians_over_the_passes(self):
        passes = [Pass([True, False], [0.0, 0.0], total) for total in (1.0, 2.0, 100.0)]
        self.assertEqual(grader_peers.Summary(passes, [True, True]).rate, 1.0)

    def test_seconds_are_written_for_people(self):
        written = [grader_peers.seconds(value) for value in (147.2, 1.5, 0.0123, 4.56e-6)]
        self.assertEqual(written, ["147 s", "1.5 s", "12.3 ms", "4.56 µs"])

    def test_tables_have_as_many_cells_in_each_row(self):
        passes = {"a": Pass([True], [0.5]), "b": Pass([False], [10.0], killed=[0])}
        summaries = {name: grader_peers.Summary([one], [True]) for name, one in passes.items()}
        for lines in (grader_peers.rate_table(summaries, "b"), grader_peers.hostile_table(passes, 10)):
            self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")})
        self.assertIn("> 10 s", grader_peers.hostile_table(passes, 10)[-1])


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "file"

    def test_the_rows_of_the_warm_up_are_not_timed(self):
        lines = [f'{{"id": {n}, "category": "{"hostile" if n == 9 else "equality"}"}}' for n in range(10)]
        self.file.write_text("\n".join(lines) + "\n\n")
        ids = [[row["id"] for row in part] for part in grader_peers.read_rows(self.file, 3)]
        self.assertEqual(ids, [[0, 3, 6], [1, 4, 7], [9]])

    def test_figures_replace_what_stood_between_the_markers(self):
        begin, end = grader_peers.BEGIN, grader_peers.END
        self.file.write_text(f"before\n{begin}\nstale\n{end}\nafter\n")
        for _ in range(2):
            page.put_between_markers(self.file, grader_peers.BEGIN, grader_peers.END, ["", "fresh", ""])
        self.assertEqual(self.file.read_text(), f"before\n{begin}\n\nfresh\n\n{end}\nafter\n")
        self.file.write_text("no markers")
        with self.assertRaises(SystemExit):
            page.put_between_markers(self.file, grader_peers.BEGIN, grader_peers.END, [])


class Format(unittest.TestCase):
    def check(self, format, response, text):
        self.assertEqual(grader_worker.answer_text({"format": format, "response": response}), text)

    def test_the_text_between_the_first_two_closing_tags_is_graded(self):
        self.check("think", "<think>a</think>b</think>c", "b")
        self.check("think", "a</think>b", "b")
        self.check("think", "<think>a", None)
        self.check("plain", "<think>a</think>b", "<think>a</think>b")


if __name__ == "__main__":
    unittest.main()
