"""Tests of speed_peers.py and speed_jobs.py: python3 test_speed_peers.py. No environment is needed."""

import pathlib
import sys
import unittest

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import speed_jobs
import speed_peers
from speed_jobs import OURS, Comparison
from speed_peers import Result

# Answers what the job says; fails or dies where told.
STAND_IN = """
import json, os, sys
for line in sys.stdin:
    job = json.loads(line)
    if job.get("do") == "die":
        os._exit(3)
    said = {"error": "no"} if job.get("do") == "fail" else {"seconds": job["takes"], "tokens": 6, "peak_gib": 0.5}
    print(json.dumps({**said, "seed": job["seed"]}), flush=True)
"""
SCORE = {"job": "score"}
COMMANDS = {"ours": [sys.executable, "-c", STAND_IN], "torch": [sys.executable, "-c", STAND_IN]}


class Counted(speed_peers.Sides):
    """Counts what it is asked."""

    asked = 0

    def ask(self, side, job):
        self.asked += 1
        return super().ask(side, job)


def all_jobs(quick=False, threads=2):
    return speed_jobs.comparisons(pathlib.Path("/work"), threads, quick)


class Measuring(unittest.TestCase):
    def measured(self, jobs, shape="small"):
        sides = Counted(COMMANDS)
        found = speed_peers.measure(sides, Comparison("a", shape, jobs), 3)
        self.asked = sides.asked
        sides.stop()
        return found

    def test_the_first_pass_is_not_timed(self):
        seconds, said, failures = self.measured({OURS: {**SCORE, "takes": 2.0}, "loop": {"takes": 5.0}})
        self.assertEqual(seconds, {OURS: [2.0] * 3, "loop": [5.0] * 3})
        self.assertEqual((said[OURS]["seed"], failures), (0, {}))

    def test_large_updates_have_three_passes_that_are_not_timed(self):
        jobs = {side: {"job": "update", "takes": 2.0} for side in (OURS, "torch")}
        for shape, passes in (("large", 3 + 3), ("small", 1 + 3)):
            seconds, said, failures = self.measured(jobs, shape)
            self.assertEqual((seconds, failures), ({OURS: [2.0] * 3, "torch": [2.0] * 3}, {}))
            self.assertEqual((self.asked, said[OURS]["seed"]), (2 * passes, 0))

    def test_a_side_that_fails_or_dies_is_told_and_the_other_goes_on(self):
        for doing, words in (("fail", "no"), ("die", "status 3")):
            seconds, _, failures = self.measured({OURS: {**SCORE, "takes": 2.0}, "loop": {"do": doing}})
            self.assertEqual((seconds[OURS], seconds["loop"]), ([2.0] * 3, []))
            self.assertIn(words, failures["loop"])

    def test_memory_is_that_of_a_process_for_each_side(self):
        comparison = Comparison("a", "small", {OURS: {**SCORE, "takes": 1.0}, "loop": {"do": "die"}})
        self.assertEqual(speed_peers.peaks(COMMANDS, comparison), {OURS: 0.5, "loop": None})


class Figures(unittest.TestCase):
    def test_without_spread_the_interval_is_a_point(self):
        self.assertEqual(speed_peers.ratio_interval([6.0] * 7, [2.0] * 7), (3.0, 3.0, 3.0))

    def test_the_interval_holds_the_ratio_and_comes_out_the_same_again(self):
        above, below = [5.0, 6.0, 7.0, 8.0, 6.5], [2.0, 2.1, 1.9, 2.2, 2.0]
        ratio, low, high = speed_peers.ratio_interval(above, below)
        # Medians by hand: 6.5 and 2.0. No resampled median leaves the range of its sample.
        self.assertEqual(ratio, 3.25)
        self.assertTrue(5.0 / 2.2 <= low < ratio < high <= 8.0 / 1.9, (low, high))
        self.assertEqual((ratio, low, high), speed_peers.ratio_interval(above, below))

    def test_medians_of_two_equally_likely_values(self):
        # Of one repetition each, the median is the value: the interval has to reach both ends.
        _, low, high = speed_peers.ratio_interval([2.0, 4.0], [1.0, 1.0])
        self.assertEqual((low, high), (2.0, 4.0))

    def test_the_sides_disagree_by_their_largest_relative_difference(self):
        said = {OURS: {"loss": 0.5, "grad_norm": 1.0}, "torch": {"loss": 0.5, "grad_norm": 1.1}}
        self.assertAlmostEqual(speed_peers.disagreement(said), 0.1 / 1.1)
        # A loss near zero is measured by a tenth.
        self.assertAlmostEqual(speed_peers.disagreement({"a": {"loss": 1e-5}, "b": {"loss": -1e-5}}), 2e-4)
        self.assertIsNone(speed_peers.disagreement({OURS: {"tokens": 1}, "torch": {"tokens": 2}}))

    def test_no_exponent(self):
        self.assertEqual([speed_peers.digits(v) for v in (0.01234, 12.34, 1234.5)], ["0.0123", "12.3", "1,234"])


class Tables(unittest.TestCase):
    def result(self, theirs, target=None, failures=None, gib=None):
        jobs = {OURS: SCORE, "torch": SCORE}
        comparison = Comparison("job", "small", jobs, {"torch": target} if target else None, lighter=("torch",))
        said = {OURS: {"tokens": 100}, "torch": {"tokens": 100}}
        return Result(comparison, {OURS: [2.0, 2.0], "torch": theirs}, said, failures or {}, gib or {})

    def line(self, *args, **kwargs):
        return speed_peers.speed_table([self.result(*args, **kwargs)])[-1]

    def test_a_line_has_seconds_tokens_and_ratio(self):
        self.assertEqual(self.line([5.0, 5.0]), "| job | 2 | 50 | torch | 5 | 20 | 2.50 | 2.50 to 2.50 |  |  |")

    def test_the_lower_bound_decides(self):
        self.assertTrue(self.line([5.0, 5.0], target=2.5).endswith("| 2.50 | yes |"))
        # The median is 2.5 times ours, the lower bound 2.
        self.assertTrue(self.line([4.0, 6.0], target=2.5).endswith("| 2.00 to 3.00 | 2.50 | no |"))

    def test_a_failure_misses_its_target_and_says_why(self):
        line = self.line([], target=2.5, failures={"torch": "no | compiler"})
        self.assertIn("torch failed: no / compiler", line)
        self.assertTrue(line.endswith("| 2.50 | no |"))

    def test_every_line_has_the_columns_of_the_head(self):
        good = self.result([5.0, 5.0], gib={OURS: 1.0, "torch": 2.0})
        bad = self.result([], failures={"torch": "no"}, gib={OURS: 1.0, "torch": None})
        for table in (speed_peers.speed_table([good, bad]), speed_peers.memory_table([good, bad])):
            self.assertEqual(len({line.count("|") for line in table}), 1, table)

    def test_memory_below_the_peers_is_the_target(self):
        for ours, met in ((1.0, "yes"), (2.0, "no")):
            lines = speed_peers.memory_table([self.result([5.0, 5.0], gib={OURS: ours, "torch": 2.0})])
            self.assertEqual(lines[-1].split("|")[-2].strip(), met)


class Jobs(unittest.TestCase):
    def test_names_are_unique_and_every_job_has_our_side(self):
        for quick in (False, True):
            made = all_jobs(quick)
            names = [one.name for one in made]
            self.assertEqual(len(names), len(set(names)))
            self.assertTrue(all(one.base in one.jobs and len(one.jobs) > 1 for one in made))

    def test_targets_are_of_sides_that_are_there(self):
        for one in all_jobs():
            self.assertLessEqual(one.targets.keys() | set(one.lighter), one.jobs.keys(), one.name)

    def test_every_row_of_a_rollout_has_a_length_within_the_context(self):
        for one in all_jobs():
            job = one.jobs[OURS]
            if job["job"] == "rollout":
                self.assertEqual(len(job["lengths"]), len(job["prompts"]) * job["group"], one.name)
                shape = speed_jobs.SHAPES[one.shape]
                context = shape["max_position_embeddings"] if shape else 32_768
                self.assertLessEqual(len(job["prompts"][0]) + max(job["lengths"]), context)

    def test_tokens_are_of_the_vocabulary(self):
        for one in all_jobs():
            job = one.jobs[OURS]
            prompts = job.get("prompts") or [row["prompt"] + row["response"] for row in job["rows"]]
            self.assertLess(max(map(max, prompts)), speed_jobs.VOCABULARY[one.shape])
            shape = speed_jobs.SHAPES[one.shape]
            self.assertEqual((shape or {}).get("vocab_size", 151_936), speed_jobs.VOCABULARY[one.shape])

    def test_mixed_lengths_are_the_same_in_every_run_and_within_bounds(self):
        lengths = speed_jobs.mixed_lengths(64, 256)
        self.assertEqual(lengths, speed_jobs.mixed_lengths(64, 256))
        self.assertTrue(16 <= min(lengths) < 64 and 200 < max(lengths) <= 256, lengths)

    def test_sixteen_rows_are_two_units_for_two_replicas_and_for_one(self):
        made = {one.name: one for one in all_jobs()}
        job = made["update small, 16 x 256"].jobs[OURS]
        self.assertEqual((len(job["rows"]), job["unit_rows"]), (16, 8))
        alone = made["1 to 2 replicas: update small, 16 x 256"].jobs[f"{OURS}, 1 replica"]
        self.assertEqual((alone["threads"], alone["unit_rows"]), (1, 8))

    def test_both_sides_get_the_same_tokens(self):
        for one in all_jobs():
            ours, *others = one.jobs.values()
            for other in others:
                for key in ("rows", "prompts", "lengths", "model", "group"):
                    self.assertEqual(ours.get(key), other.get(key), one.name)


if __name__ == "__main__":
    unittest.main()
