"""Compares a checkpoint folder and our scores of some token sequences with Python `transformers`.

    transformers_check.py --model DIR --scores FILE.jsonl [--tolerance 1e-4]

Each line of FILE is one sequence: {"ids": [prompt and response], "prompt_len": n, "logprobs": [one for each of
ids[n..]], "entropy": [the same count]}, natural logarithms at temperature 1; entropy i is that of the
distribution from which token n+i was drawn. Other keys are left alone. Every sequence and every property of
the folder is one check; the last line counts them, and one failure makes the exit status 1.
"""

import argparse
import json
import math
import os
import pathlib
import sys

# Nothing is fetched, and the figures do not depend on the machine's accelerator.
os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false")

import numpy
import safetensors
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


class Mismatch(Exception):
    """A check that did not hold, in words for a person."""


class Checks:
    """Counts checks and says what each found."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, *args):
        """What `check(*args)` returns, or None when it failed."""
        try:
            result, said = check(*args)
        except Exception as error:  # Whatever transformers raises on a bad folder is that check's finding.
            self.failed += 1
            kind = "" if isinstance(error, Mismatch) else f"{type(error).__name__}: "
            print(f"FAILED {name}: {kind}{error}")
            return None
        self.passed += 1
        if said:
            print(f"ok     {name}: {said}")
        return result


def read_weights(folder):
    """Shape and dtype by name, from the one file or from every shard of the index."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = json.loads(index.read_text())["weight_map"]
        files = {name: [key for key, file in weight_map.items() if file == name] for name in weight_map.values()}
    else:
        files = {"model.safetensors": None}
    tensors = {}
    for file, listed in sorted(files.items()):
        with safetensors.safe_open(folder / file, framework="pt") as weights:
            held = set(weights.keys())
            if listed is not None and held != set(listed):
                raise Mismatch(f"{file} and the index differ in {sorted(held ^ set(listed))}")
            for name in held:
                tensors[name] = weights.get_tensor(name)
    return tensors


def load_model(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    wrong = {key: found for key, found in info.items() if found}
    if wrong:
        raise Mismatch(f"transformers loaded it with {wrong}")
    return model.eval(), f"{type(model).__name__}, {model.num_parameters()} parameters"


def check_weights(folder, model):
    """The files hold exactly the model's tensors; a head tied to the embedding may be left out."""
    stored, state = read_weights(folder), model.state_dict()
    tied = set(model._tied_weights_keys or []) if model.config.tie_word_embeddings else set()
    missing, extra = state.keys() - stored.keys() - tied, stored.keys() - state.keys()
    if missing or extra:
        raise Mismatch(f"missing {sorted(missing)}, not of the model {sorted(extra)}")
    for name, tensor in stored.items():
        if tensor.shape != state[name].shape:
            raise Mismatch(f"{name} has shape {list(tensor.shape)}, the model {list(state[name].shape)}")
        # Also catches a tied head stored with other values than the embedding.
        if not torch.equal(tensor.float(), state[name]):
            raise Mismatch(f"{name} is not what the model loaded")
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in stored.values()})
    head = ", tied head left out" if tied - stored.keys() else ""
    return None, f"{len(stored)} tensors, {'/'.join(kinds)}{head}"


def load_tokenizer(folder, model):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    size = model.config.vocab_size
    if len(tokenizer) > size:
        raise Mismatch(f"the tokenizer has {len(tokenizer)} tokens, the model {size}")
    text = "Let 12 + 34 = x; so \\boxed{46}."
    back = tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)
    if back != text:
        raise Mismatch(f"{text!r} comes back as {back!r}")
    return tokenizer, f"{type(tokenizer).__name__}, {len(tokenizer)} tokens for a vocabulary of {size}"


def check_template(tokenizer):
    """The template renders a user's message, with and without the opening of an answer."""
    message = "How much is 12+34?"
    messages = [{"role": "user", "content": message}]
    plain, opened = (
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opening)
        for opening in (False, True)
    )
    for text in (plain, opened):
        if message not in text:
            raise Mismatch(f"the user's message is not in {text!r}")
    if not opened.startswith(plain):
        raise Mismatch(f"the opening of an answer changes what stands before it: {plain!r}, {opened!r}")
    return None, f"{opened!r}"


def numbers(row, key, count):
    values = row.get(key)
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} values" if isinstance(values, list) else repr(values)
        raise Mismatch(f'"{key}" holds {found} for {count} response tokens')
    for place, value in enumerate(values):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise Mismatch(f'"{key}"[{place}] is {value!r}, not a finite number')
    return torch.tensor(values, dtype=torch.float64)


def parse_row(line, vocabulary):
    """ids, prompt length, log-probs, entropies."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise Mismatch(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise Mismatch(f"not an object: {line[:80]}")
    ids, prompt_len = row.get("ids"), row.get("prompt_len")
    if not isinstance(ids, list) or not all(type(token) is int and 0 <= token < vocabulary for token in ids):
        raise Mismatch(f'"ids" is not a list of tokens from 0 to {vocabulary - 1}')
    # The first token of all has no distribution that it was drawn from.
    if type(prompt_len) is not int or not 1 <= prompt_len < len(ids):
        raise Mismatch(f'"prompt_len" is {prompt_len!r} with {len(ids)} ids: wanted 1 to {len(ids) - 1}')
    count = len(ids) - prompt_len
    return ids, prompt_len, numbers(row, "logprobs", count), numbers(row, "entropy", count)


@torch.inference_mode()
def score(model, ids, prompt_len):
    """Log-prob of each response token and entropy of its distribution, summed in float64 from float32 logits."""
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, prompt_len - 1 : -1]
    log_probs = logits.double().log_softmax(-1)
    chosen = log_probs.gather(1, torch.tensor(ids[prompt_len:])[:, None])[:, 0]
    return chosen, torch.special.entr(log_probs.exp()).sum(-1)


class Comparison:
    """The largest differences over all sequences, and where they are."""

    def __init__(self, model, tolerance):
        self.model, self.tolerance = model, tolerance
        self.rows = self.tokens = 0
        self.worst = {"log-prob": (0.0, None), "entropy": (0.0, None)}

    def row(self, number, line):
        ids, prompt_len, *ours = parse_row(line, self.model.config.vocab_size)
        theirs = score(self.model, ids, prompt_len)
        self.rows += 1
        self.tokens += len(ids) - prompt_len
        failures = []
        for name, found, wanted in zip(self.worst, ours, theirs):
            difference = (found - wanted).abs()
            place = int(difference.argmax())
            largest = float(difference[place])
            if largest > self.worst[name][0]:
                self.worst[name] = (largest, f"line {number}, response token {place}")
            if not largest <= self.tolerance:
                failures.append(
                    f"{name} of response token {place} (id {ids[prompt_len + place]}) is {float(found[place]):.6f}, "
                    f"transformers {float(wanted[place]):.6f}, {int((difference > self.tolerance).sum())} of "
                    f"{len(difference)} beyond {self.tolerance:g}"
                )
        if failures:
            raise Mismatch("; ".join(failures))
        return None, None

    def report(self):
        print(f"compared {self.rows} rows, {self.tokens} response tokens, tolerance {self.tolerance:g}")
        for name, (largest, place) in self.worst.items():
            print(f"largest absolute difference of {name}: {largest:.3e}{f' ({place})' if place else ''}")


def compare_scores(checks, model, file, tolerance):
    comparison = Comparison(model, tolerance)
    lines = 0
    with file.open(encoding="utf-8") as scores:
        for number, line in enumerate(scores, 1):
            if line.strip():
                lines += 1
                checks.run(f"line {number} of {file.name}", comparison.row, number, line)
    if lines == 0:
        raise Mismatch("no sequence in it")
    comparison.report()
    return None, f"{lines} sequences read"


def positive(text):
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True, metavar="DIR", help="checkpoint folder")
    parser.add_argument("--scores", type=pathlib.Path, required=True, metavar="FILE", help="our scores, JSON Lines")
    parser.add_argument("--tolerance", type=positive, default=1e-4, help="largest absolute difference (%(default)s)")
    args = parser.parse_args(arguments)
    # A folder that is not there would be taken for a name on a model hub.
    if not args.model.is_dir():
        parser.error(f"--model {args.model} is not a folder")
    if not args.scores.is_file():
        parser.error(f"--scores {args.scores} is not a file")
    transformers.utils.logging.disable_progress_bar()

    versions = (transformers, torch, safetensors, numpy)
    print("python", sys.version.split()[0], *(f"{module.__name__} {module.__version__}" for module in versions))
    print(f"model {args.model}, scores {args.scores}, float32 on the CPU")
    checks = Checks()
    model = checks.run("model", load_model, args.model)
    if model is not None:
        checks.run("weights", check_weights, args.model, model)
        tokenizer = checks.run("tokenizer", load_tokenizer, args.model, model)
        if tokenizer is not None and tokenizer.chat_template:
            checks.run("chat template", check_template, tokenizer)
        elif tokenizer is not None:
            print("no chat template in the folder: nothing rendered")
        checks.run("scores", compare_scores, checks, model, args.scores, args.tolerance)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return min(checks.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
