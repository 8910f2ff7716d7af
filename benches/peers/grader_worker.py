"""Grades rows as LUFFY does, one after the other: grader_worker.py math-verify | oat FILE.

grader_peers.py starts it in the environment of grader_venv.py. Each line of standard input is a row, an object
with "gold", "response" and "format"; each line of standard output is the answer to it, {"correct": true, "cpu":
seconds of processor time, "wall": seconds}. The first line, {"versions": ..}, says that all is loaded. Apart
from grader_peers.py because it needs the packages.

What LUFFY calls: `reward_fn_math_verify` in training (reward_impl_version 3 and 4), with math-verify's default
configuration and its alarms of 5 s; and `boxed_reward_fn(.., fast=False)` of the oat grader in evaluation, whose
labels it joins by OR (--any_true).
"""

import importlib.metadata
import importlib.util
import json
import logging
import sys
import time

PACKAGES = ["math-verify", "latex2sympy2_extended", "sympy"]


def answer_text(row):
    """The text that is graded, or None where the format is broken; training prepends the opening tag."""
    if row["format"] != "think":
        return row["response"]
    text = row["response"]
    if "<think>" not in text:
        text = "<think>\n" + text
    if "</think>" not in text:
        return None
    return text.split("</think>")[1]


def math_verify_grader():
    from math_verify import parse, verify

    def grade(text, gold):
        predicted = parse(text)
        return verify(parse("$" + gold + "$"), predicted)

    return grade


def oat_grader(file):
    spec = importlib.util.spec_from_file_location("oat_math_grader", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def grade(text, gold):
        return module.boxed_reward_fn(text, gold, fast=False)[1] == 1.0

    return grade


def main(arguments):
    match arguments:
        case ["math-verify"]:
            grade = math_verify_grader()
        case ["oat", file]:
            grade = oat_grader(file)
        case _:
            sys.exit("usage: grader_worker.py math-verify | oat FILE")
    # Both log every answer they cannot read.
    logging.disable(logging.CRITICAL)
    replies, sys.stdout = sys.stdout, sys.stderr
    reply(replies, {"versions": {name: importlib.metadata.version(name) for name in PACKAGES}})
    for line in sys.stdin:
        row = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        error = None
        try:
            text = answer_text(row)
            correct = text is not None and grade(text, row["gold"]) is True
        except Exception as raised:  # LUFFY's evaluation takes any exception for a wrong answer.
            correct, error = False, type(raised).__name__
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        reply(replies, {"correct": correct, "cpu": cpu, "wall": wall, "error": error})


def reply(stream, value):
    stream.write(json.dumps(value) + "\n")
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
