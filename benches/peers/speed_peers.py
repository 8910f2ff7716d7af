"""Sets the whole step of LUFFY beside TRL on PyTorch: the same models, tokens, lengths and threads.

    speed_peers.py --ours PROGRAM --python PYTHON --work DIR [--write PAGE.md] [--quick] [--only NAME]

`cargo xtask bench peers` builds PROGRAM (luffy), makes the environment of PYTHON and starts this. Both sides are
processes that answer jobs (speed_jobs.py), one at a time, in turn; figures are medians, intervals are percentile
bootstraps of the ratio of medians. Standard library only.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import speed_jobs
from page import put_between_markers
from speed_jobs import OURS

WORKER = pathlib.Path(__file__).with_name("torch_worker.py")
BEGIN, END = "<!-- speed-bench: begin -->", "<!-- speed-bench: end -->"
RESAMPLES = 10_000
# Largest relative difference of what both sides compute in the same job: float32 sums in another order.
AGREEMENT = 1e-3


class Failed(Exception):
    """A job could not be done, in words for a person."""


class Worker:
    """A process that answers a line of JSON with a line of JSON."""

    def __init__(self, command):
        self.command = command
        # PyTorch with its own defaults: told to let waiting threads sleep, it takes up to 1.8 times as long.
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )

    def ask(self, job):
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"the process ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def stop(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # It has ended by itself.
        self.process.stdout.close()
        self.process.wait()


class Sides:
    """A process for each side, started when first asked: none loses its model or its compiled code to another."""

    def __init__(self, commands):
        self.commands, self.workers = commands, {}

    def ask(self, side, job):
        if side not in self.workers:
            self.workers[side] = Worker(self.commands["ours" if side.startswith(OURS) else "torch"])
        try:
            return self.workers[side].ask(job)
        except Failed:
            if self.workers[side].process.poll() is not None:
                self.workers.pop(side).stop()
            raise

    def stop(self):
        for worker in self.workers.values():
            worker.stop()
        self.workers = {}


def measure(sides, comparison, repetitions):
    """Seconds by side, one of each in turn after passes that are not timed; what the sides said in the first."""
    sides.stop()
    seconds, said, failures = {name: [] for name in comparison.jobs}, {}, {}
    for repetition in range(comparison.warm_ups + repetitions):
        # Every other pass the other way round, so that a drift of the machine is nobody's advantage.
        names = list(comparison.jobs)[:: -1 if repetition % 2 else 1]
        for name in names:
            if name in failures:
                continue
            job = {**comparison.jobs[name], "seed": repetition}
            try:
                answer = sides.ask(name, job)
            except Failed as failure:
                failures[name] = str(failure)
                continue
            if repetition == 0:
                said[name] = answer
            if repetition >= comparison.warm_ups:
                seconds[name].append(answer["seconds"])
    return seconds, said, failures


def peaks(commands, comparison):
    """Most memory by side, each in a process of its own that does the job once."""
    found = {}
    for name, job in comparison.jobs.items():
        alone = Sides(commands)
        try:
            found[name] = alone.ask(name, {**job, "seed": 0})["peak_gib"]
        except Failed:
            found[name] = None
        alone.stop()
    return found


def disagreement(said):
    """The largest relative difference between the sides' losses, norms and log-probs; None without any."""
    largest = None
    for key in ("loss", "grad_norm", "mean_logprob"):
        values = [one[key] for one in said.values() if one.get(key) is not None]
        if len(values) > 1:
            # A loss near zero is a sum of parts near one tenth.
            size = max(0.1, *map(abs, values))
            largest = max(largest or 0.0, (max(values) - min(values)) / size)
    return largest


def ratio_interval(above, below, resamples=RESAMPLES, seed=0):
    """Ratio of medians with its 2.5 % and 97.5 % percentiles over resampled repetitions."""
    stream = random.Random(seed)
    ratios = sorted(
        statistics.median(stream.choices(above, k=len(above))) / statistics.median(stream.choices(below, k=len(below)))
        for _ in range(resamples)
    )
    low, high = ratios[int(0.025 * resamples)], ratios[min(resamples - 1, int(0.975 * resamples))]
    return statistics.median(above) / statistics.median(below), low, high


class Result:
    """A comparison with what was measured."""

    def __init__(self, comparison, seconds, said, failures, gib):
        self.comparison, self.seconds, self.said, self.failures, self.gib = comparison, seconds, said, failures, gib


def digits(value):
    """Three digits, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def speed_table(results):
    """A line for each peer of each comparison; a ratio above 1 means that ours is faster."""
    lines = [
        "| job | LUFFY s | tokens/s | against | s | tokens/s | times as fast | 95 % interval | target | met |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        base = result.comparison.base
        for name in result.comparison.jobs:
            if name != base:
                lines.append(speed_line(result, base, name))
    return lines


def speed_line(result, base, name):
    job, target = result.comparison.name, result.comparison.targets.get(name)
    for side in (base, name):
        if not result.seconds[side]:
            why = result.failures.get(side, "not measured").replace("|", "/")
            return f"| {job} | | | {name} | | | {side} failed: {why} | | {wanted(target)} | {'no' if target else ''} |"
    ratio, low, high = ratio_interval(result.seconds[name], result.seconds[base])
    figures = []
    for side in (base, name):
        median = statistics.median(result.seconds[side])
        figures.append((digits(median), digits(result.said[side]["tokens"] / median)))
    met = "" if target is None else "yes" if low >= target else "no"
    return (
        f"| {job} | {figures[0][0]} | {figures[0][1]} | {name} | {figures[1][0]} | {figures[1][1]} "
        f"| {ratio:.2f} | {low:.2f} to {high:.2f} | {wanted(target)} | {met} |"
    )


def wanted(target):
    return "" if target is None else f"{target:.2f}"


def memory_table(results):
    lines = ["| job | LUFFY GiB | against | GiB | share of it | target | met |", "|---|---|---|---|---|---|---|"]
    for result in results:
        ours = result.gib.get(OURS)
        for name in result.comparison.jobs:
            theirs = result.gib.get(name)
            if name.startswith(OURS) or ours is None or theirs is None:
                continue
            target = name in result.comparison.lighter
            met = "" if not target else "yes" if ours < theirs else "no"
            lines.append(
                f"| {result.comparison.name} | {ours:.2f} | {name} | {theirs:.2f} | {ours / theirs:.2f} "
                f"| {'below 1' if target else ''} | {met} |"
            )
    return lines


def peak_table(sides, threads, quick):
    """What the processor can do at most, through either library: the roof of every other figure."""
    lines = ["| at most | threads | LUFFY (burn) | PyTorch |", "|---|---|---|---|"]
    times = 2 if quick else 20
    for n in sorted({1, threads}):
        gemm = {"job": "gemm", "size": 1024, "times": times, "threads": n}
        copy = {"job": "bandwidth", "mib": 256, "times": max(2, times // 4), "threads": n}
        for what, job, key in (("1024³ f32 product, GFLOP/s", gemm, "gflops"), ("copy of 256 MiB, GiB/s", copy, "gib_per_second")):
            best = {
                side: max(sides.ask(side, job)[key] for _ in range(1 if quick else 3)) for side in (OURS, "torch")
            }
            lines.append(f"| {what} | {n} | {digits(best[OURS])} | {digits(best['torch'])} |")
    return lines


def machine():
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    flags = set((re.search(r"flags\s*:\s*(.+)", text) or [""])[0].split())
    vectors = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory = pathlib.Path("/proc/meminfo")
    size = re.search(r"MemTotal:\s*(\d+)", memory.read_text()) if memory.exists() else None
    return ", ".join([
        model[1] if model else platform.machine(), f"{os.cpu_count()} cores", " ".join(vectors) or "no vector flags told",
        f"{int(size[1]) / (1 << 20):.0f} GiB" if size else "memory unknown", platform.system(),
    ])


def report(results, facts, roof, args):
    worst = max((d for d in (disagreement(result.said) for result in results if result.comparison.equal) if d is not None), default=None)
    versions = ", ".join(f"{name} {facts[name]}" for name in ("torch", "transformers", "trl") if name in facts)
    compiler = facts.get("compiler") or "none"
    lines = [
        f"Machine: {machine()}; {args.threads} threads on either side.",
        f"Versions: {versions}, Python {facts.get('python')}, C++ compiler of `torch.compile` {compiler}"
        f"{f'; luffy at {args.build}' if args.build else ''}.",
        f"Repetitions: {args.repetitions} of each side, in turn, after one that is not timed "
        f"(three of the update of `large`); medians. Intervals: "
        f"percentile bootstrap of the ratio of medians, {RESAMPLES:,} resamples; a target is met if the lower bound is.",
    ]
    if args.quick:
        lines.append("**A smoke run (`--quick`) with few tokens: no figure here means anything.**")
    if worst is not None:
        lines.append(
            f"Losses, gradient norms and mean log-probs of the float32 jobs differ by {worst:.1e} at most, relative."
        )
    lines += ["", "### Speed", "", *speed_table(results)]
    if any(result.gib for result in results):
        lines += ["", "### Peak memory", "", "Each job once in a process of its own.", "", *memory_table(results)]
    if roof:
        lines += ["", "### What the machine can do", "", *roof]
    return lines, worst


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program luffy")
    parser.add_argument("--python", required=True, help="of the environment with TRL")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for the models")
    parser.add_argument("--configs", type=pathlib.Path, required=True, help="folder with qwen2.5-0.5b.json")
    parser.add_argument("--repetitions", type=int, help="passes of each side, in turn (7; 2 with --quick)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either side (all cores)")
    parser.add_argument("--quick", action="store_true", help="few tokens, to see that it runs")
    parser.add_argument("--only", action="append", metavar="NAME", help="jobs whose name begins with this; may repeat")
    parser.add_argument("--skip-memory", action="store_true", help="no peak memory")
    parser.add_argument("--list", action="store_true", help="name the jobs and stop")
    parser.add_argument("--build", default="", help="what PROGRAM was built from, for the report")
    parser.add_argument("--write", type=pathlib.Path, metavar="PAGE", help="put the tables into this page too")
    args = parser.parse_args()
    args.repetitions = args.repetitions or (2 if args.quick else 7)
    if args.repetitions < 1 or args.threads < 1:
        parser.error("--repetitions and --threads are at least 1")
    return args


def main():
    args = parse_arguments()
    comparisons = speed_jobs.comparisons(args.work, args.threads, args.quick)
    if args.only:
        comparisons = [one for one in comparisons if one.name.startswith(tuple(args.only))]
    if not comparisons:
        sys.exit(f"no name of a job begins with {' or '.join(args.only)}; --list names them")
    if args.list:
        print("\n".join(one.name for one in comparisons))
        return
    speed_jobs.make_models(args.ours, args.work, args.configs, {one.shape for one in comparisons})
    commands = {"ours": [args.ours, "measure-speed"], "torch": [args.python, str(WORKER)]}
    sides = Sides(commands)
    facts = sides.ask("torch", {"job": "facts", "trl": True, "threads": 1})
    facts["compiler"] = first_line([shutil.which("g++") or "g++", "--version"])
    roof = [] if args.only else peak_table(sides, args.threads, args.quick)
    results = []
    for number, comparison in enumerate(comparisons, 1):
        say(f"{number} of {len(comparisons)}: {comparison.name}")
        seconds, said, failures = measure(sides, comparison, args.repetitions)
        for name, why in failures.items():
            say(f"  {name} failed: {why}")
        for name, list_of in seconds.items():
            say(f"  {name}: {', '.join(map(digits, list_of))} s")
        sides.stop()
        gib = {} if args.skip_memory or not comparison.memory else peaks(commands, comparison)
        results.append(Result(comparison, seconds, said, failures, gib))
    sides.stop()
    lines, worst = report(results, facts, roof, args)
    print("\n".join(lines))
    if args.write:
        put_between_markers(args.write, BEGIN, END, ["", *lines, ""])
        say(f"written to {args.write}")
    if worst is not None and worst > AGREEMENT:
        sys.exit(f"the sides do not compute the same: they differ by {worst:.1e}, wanted {AGREEMENT:g}")


def first_line(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
