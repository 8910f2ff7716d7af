"""Sets our grader beside math-verify and LUFFY's OR rule, on the same rows and the same core.

    grader_peers.py --cases FILE.jsonl --ours PROGRAM --python PYTHON [--oat FILE] [--write PAGE.md]

`cargo xtask bench grader` builds PROGRAM (the example grader_timing of luffy-reward), makes the environment of
PYTHON and starts this. Every third row of category `equality` is timed, the sides taking turns, each pass in a
fresh process after a warm-up on other rows; what counts is processor time. The rows of category `hostile` are
graded once, each with a hard limit. Standard library only.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
from page import put_between_markers

WORKER = pathlib.Path(__file__).with_name("grader_worker.py")
WARM_UP_ROWS = 100
# Loading sympy, on a busy machine.
START_SECONDS = 120
BEGIN, END = "<!-- grader-bench: begin -->", "<!-- grader-bench: end -->"


class Killed(Exception):
    """A worker took longer than it may."""


class Worker:
    """A process that answers a line of JSON with a line of JSON."""

    def __init__(self, command):
        self.command = command
        self.versions = {}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.pending = b""
        self.versions = self.read(START_SECONDS)["versions"]

    def ask(self, row, limit):
        self.process.stdin.write(json.dumps(row).encode() + b"\n")
        self.process.stdin.flush()
        return self.read(limit)

    def read(self, limit):
        deadline = time.monotonic() + limit
        while b"\n" not in self.pending:
            if not self.selector.select(max(0.0, deadline - time.monotonic())):
                self.stop()
                raise Killed
            chunk = os.read(self.process.stdout.fileno(), 1 << 16)
            if not chunk:
                self.stop()
                raise ChildProcessError(f"{self.command[-1]} ended with status {self.process.returncode}")
            self.pending += chunk
        line, _, self.pending = self.pending.partition(b"\n")
        return json.loads(line)

    def stop(self):
        self.selector.close()
        self.process.stdin.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Pass:
    """One pass of one grader over the rows: a verdict and the seconds for each; `total` is measured apart."""

    def __init__(self, correct, seconds, total=None, killed=(), errors=None):
        self.correct, self.seconds, self.killed = correct, seconds, set(killed)
        self.total = sum(seconds) if total is None else total
        self.errors = errors or collections.Counter()


def peer_pass(command, rows, warm_up, limit):
    """What the peer says of `rows`; one that is killed counts as wrong and as `limit` seconds."""
    correct, seconds, killed, errors = [], [], [], collections.Counter()
    worker = warmed(command, warm_up, limit)
    for at, row in enumerate(rows):
        if worker is None:
            worker = warmed(command, warm_up, limit)
        try:
            answer = worker.ask(row, limit)
        except Killed:
            answer = {"correct": False, "cpu": limit, "error": "killed"}
            killed.append(at)
            worker = None
        except (ChildProcessError, BrokenPipeError):
            answer = {"correct": False, "cpu": 0.0, "error": "crashed"}
            worker = None
        correct.append(answer["correct"])
        seconds.append(answer["cpu"])
        if answer["error"]:
            errors[answer["error"]] += 1
    if worker is not None:
        worker.stop()
    return Pass(correct, seconds, killed=killed, errors=errors)


def warmed(command, warm_up, limit):
    worker = Worker(command)
    for row in warm_up:
        worker.ask(row, limit)
    return worker


def our_pass(program, rows, profile, seconds, limit):
    """What our program says of `rows`; it does not share a clock with the peers, so it says what it used."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        command = [program, file.name, "--profile", profile, "--seconds", str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=limit)
    report = json.loads(done.stdout)
    if report["clock"] != "cpu":
        say("this system does not tell processor time: ours is wall-clock time")
    return Pass(report["correct"], report["row_seconds"], report["cpu_seconds"])


def or_pass(first, second):
    """LUFFY's evaluation: right if either says so; `second` is asked only where `first` says no."""
    asked = [0.0 if right else cost for right, cost in zip(first.correct, second.seconds)]
    return Pass(
        [a or b for a, b in zip(first.correct, second.correct)],
        [a + b for a, b in zip(first.seconds, asked)],
        first.total + sum(asked),
        first.killed | {at for at in second.killed if not first.correct[at]},
    )


class Summary:
    """Several passes of one grader in figures; medians over the passes."""

    def __init__(self, passes, expected):
        self.rate = statistics.median(len(expected) / one.total for one in passes)
        costs = sorted(statistics.median(row) for row in zip(*(one.seconds for one in passes)))
        self.median, self.p95, self.p99, self.slowest = (quantile(costs, q) for q in (0.5, 0.95, 0.99, 1))
        self.accuracy = accuracy(passes[0].correct, expected)


def quantile(ordered, q):
    """The smallest of `ordered` that a share `q` does not exceed."""
    at = max(0, -(-len(ordered) * round(q * 1000) // 1000) - 1)
    return ordered[at]


def accuracy(correct, expected):
    """Agreement, false negatives, false positives."""
    missed = sum(right and not said for said, right in zip(correct, expected))
    paid = sum(said and not right for said, right in zip(correct, expected))
    return 1 - (missed + paid) / len(expected), missed, paid


def read_rows(path, every):
    """The timed rows, the warm-up rows and the hostile rows."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    equality = [row for row in rows if row.get("category") == "equality"]
    if not equality:
        sys.exit(f"{path} has no rows of category `equality`")
    timed = equality[::every]
    # Other rows than the timed ones, unless all are timed.
    warm_up = (equality[1::every] if every > 1 else equality)[:WARM_UP_ROWS]
    return timed, warm_up, [row for row in rows if row.get("category") == "hostile"]


def seconds(value):
    """As a person reads it."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{three_digits(value * factor)} {unit}"
    return f"{three_digits(value * 1e6)} µs"


def three_digits(value):
    """At least three digits, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate_table(summaries, base):
    """Markdown; ratios are to the grader called `base`."""
    lines = [
        "| grader | answers a second | to math-verify | one answer: median | 95 % | 99 % | slowest | agreement | FN | FP |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, summary in summaries.items():
        agreement, missed, paid = summary.accuracy
        ratio = three_digits(summary.rate / summaries[base].rate)
        times = " | ".join(map(seconds, (summary.median, summary.p95, summary.p99, summary.slowest)))
        lines.append(
            f"| {name} | {summary.rate:,.0f} | {ratio} | {times} | {agreement:.4f} | {missed} | {paid} |"
        )
    return lines


def hostile_table(passes, limit):
    lines = [
        f"| grader | rows | over 0.1 s | over 1 s | killed after {limit:g} s | slowest | all rows | called right |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in passes.items():
        over = [sum(cost > bound for cost in one.seconds) for bound in (0.1, 1)]
        slowest = f"> {limit:g} s" if one.killed else seconds(max(one.seconds))
        total = ("> " if one.killed else "") + seconds(sum(one.seconds))
        lines.append(
            f"| {name} | {len(one.seconds)} | {over[0]} | {over[1]} | {len(one.killed)} | {slowest} | {total} "
            f"| {sum(one.correct)} |"
        )
    return lines


def machine():
    info = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def say(line):
    print(line, file=sys.stderr, flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=pathlib.Path, required=True)
    parser.add_argument("--ours", required=True, help="the example grader_timing of luffy-reward")
    parser.add_argument("--python", required=True, help="of the environment that grader_venv.py makes")
    parser.add_argument("--oat", type=pathlib.Path, help="the oat grader; without it the recorded verdicts are used")
    parser.add_argument("--repetitions", type=int, default=3, help="passes of each grader (3)")
    parser.add_argument("--every", type=int, default=3, help="every so many equality rows (3)")
    parser.add_argument("--kill-seconds", type=float, default=10, help="limit of a hostile row (10)")
    parser.add_argument("--skip-hostile", action="store_true")
    parser.add_argument("--build", default="", help="what PROGRAM was built from, for the report")
    parser.add_argument("--write", type=pathlib.Path, metavar="PAGE", help="put the tables into this page too")
    args = parser.parse_args()
    if args.repetitions < 1 or args.every < 1:
        parser.error("--repetitions and --every are at least 1")
    return args


def main():
    args = parse_arguments()
    if hasattr(os, "sched_setaffinity"):
        # One core for everything, children included; the last one has fewest interrupts as a rule.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    timed, warm_up, hostile = read_rows(args.cases, args.every)
    expected = [row["expected"] for row in timed]
    peers = {"math-verify": [args.python, WORKER, "math-verify"]}
    if args.oat and args.oat.exists():
        peers["oat"] = [args.python, WORKER, "oat", args.oat]
    versions = Worker(peers["math-verify"])
    versions.stop()

    passes = collections.defaultdict(list)
    for repetition in range(1, args.repetitions + 1):
        for profile in ("lenient", "training"):
            say(f"pass {repetition} of {args.repetitions}: luffy-reward, {profile}")
            passes[f"luffy-reward, {profile}"].append(our_pass(args.ours, timed, profile, 1.0, 600))
        for name, command in peers.items():
            say(f"pass {repetition} of {args.repetitions}: {name}")
            passes[name].append(peer_pass(command, timed, warm_up, 60))
        if "oat" in peers:
            passes["math-verify OR oat"].append(or_pass(passes["math-verify"][-1], passes["oat"][-1]))
    summaries = {name: Summary(of_one, expected) for name, of_one in passes.items()}

    lines = [
        f"Machine: {machine()}; one thread on one core, processor time.",
        f"Rows: {len(timed)} boxed answers, one of every {args.every} of category `equality`; passes of each grader, "
        f"in turn: {args.repetitions}; their medians are shown.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.versions.items())
        + f", Python {platform.python_version()}{f'; luffy-reward at {args.build}' if args.build else ''}.",
        "",
        *rate_table(summaries, "math-verify"),
        "",
        *remarks(timed, passes, peers),
    ]
    if hostile and not args.skip_hostile:
        lines += ["", f"Hostile rows, once each, stopped after {args.kill_seconds:g} s:", ""]
        lines += hostile_table(hostile_passes(args, peers, hostile, warm_up), args.kill_seconds)
    print("\n".join(lines))
    if args.write:
        put_between_markers(args.write, BEGIN, END, ["", *lines, ""])
        say(f"written to {args.write}")


def remarks(timed, passes, peers):
    """What a reader has to know beside the table; how today's verdicts compare with the recorded ones."""
    rates = {name: [f"{len(timed) / one.total:,.0f}" for one in of_one] for name, of_one in passes.items()}
    listed = "; ".join(f"{name}: {', '.join(of_one)}" for name, of_one in rates.items())
    lines = [f"Answers a second, pass by pass: {listed}."]
    for name, column in (("math-verify", "math_verify"), ("oat", "oat")):
        if name not in peers or any(column not in row for row in timed):
            continue
        changed = [row["id"] for row, said in zip(timed, passes[name][0].correct) if said != (row[column] is True)]
        lines.append(f"{name}: {len(changed)} verdicts differ from those recorded with the rows.")
    if "oat" not in peers and all("oat" in row for row in timed):
        # The file could not be had: its accuracy is known, its speed is not.
        expected = [row["expected"] for row in timed]
        either = [a or row["oat"] is True for a, row in zip(passes["math-verify"][0].correct, timed)]
        agreement, missed, paid = accuracy(either, expected)
        lines.append(
            "The oat grader could not be downloaded. Not measured, from the verdicts recorded with the rows: "
            f"math-verify OR oat agrees on {agreement:.4f} (FN {missed}, FP {paid})."
        )
    return lines


def hostile_passes(args, peers, hostile, warm_up):
    found = {}
    for profile in ("lenient", "training"):
        say(f"hostile rows: luffy-reward, {profile}")
        limit = args.kill_seconds * len(hostile)
        found[f"luffy-reward, {profile}"] = our_pass(args.ours, hostile, profile, 0, limit)
    for name, command in peers.items():
        say(f"hostile rows: {name} (up to {args.kill_seconds:g} s each)")
        found[name] = peer_pass(command, hostile, warm_up[:3], args.kill_seconds)
    return found


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
    except subprocess.TimeoutExpired as error:
        sys.exit(f"our own grader did not end in time: {error}")
