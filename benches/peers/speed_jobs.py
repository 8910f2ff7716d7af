"""What speed_peers.py measures: models, jobs of both sides, targets. Standard library only."""

import json
import math
import random
import shutil
import subprocess
import sys

OURS = "LUFFY"
# Samples of a prompt.
GROUP = 8

SMALL = {
    "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 768, "vocab_size": 512, "max_position_embeddings": 4096, "rope_theta": 10000.0,
}
# The base of recipe `addition` (luffy-data, tasks/addition/files.rs), with room for longer prompts.
DEFAULT = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 192, "vocab_size": 24, "max_position_embeddings": 64, "rope_theta": 100.0,
}
# None: the file of that name in testdata/models/configs.
SHAPES = {"small": SMALL, "default": DEFAULT, "large": None}
VOCABULARY = {"small": 512, "default": 24, "large": 151_936}

# Times as fast as the peer, for the lower bound of the interval.
ROLLOUT_TARGETS = {"generate": 4.0, "loop": 2.5}
LARGE_ROLLOUT_TARGETS = {"loop": 1.8}
# At most 0.7 and 0.6 of its time.
UPDATE_TARGET, LARGE_UPDATE_TARGET = 1 / 0.7, 1 / 0.6
STEP_TARGET = 3.0
SCALING_TARGET = 1.7


class Comparison:
    """One job as each side gets it. `base` is the side that the others are divided by."""

    def __init__(self, name, shape, jobs, targets=None, base=OURS, lighter=(), memory=True, equal=True):
        self.name, self.shape, self.jobs, self.base = name, shape, jobs, base
        # By side: how many times as fast as it ours has to be; sides whose memory ours has to stay below.
        self.targets, self.lighter, self.memory = targets or {}, lighter, memory
        # Whether all sides compute the same numbers.
        self.equal = equal
        # Passes before those that are timed. With 0.5B parameters either side gets gigabytes from the system in its
        # first steps, which clears them: three steps go by until it asks for no more.
        self.warm_ups = 3 if shape == "large" and jobs[base]["job"] == "update" else 1


def comparisons(work, threads, quick):
    """Every comparison, in the order of the report."""
    new = 16 if quick else 256
    made = []
    for prompt in (32,) if quick else (32, 256):
        for batch in (1, 16) if quick else (1, 16, 64):
            targets = ROLLOUT_TARGETS if batch > 1 else None
            for mixed in (False, True) if batch > 1 else (False,):
                lengths = mixed_lengths(batch, new) if mixed else [new] * batch
                what = "mixed lengths" if mixed else f"{new} new"
                name = f"rollout small, batch {batch}, prompt {prompt}, {what}"
                made.append(rollout(work, name, "small", threads, prompt, lengths, targets))
    made.append(rollout(work, "rollout default, batch 64, prompt 18, 24 new", "default", threads, 18, [24] * 64, None))
    if not quick:
        name = "rollout large, batch 8, prompt 16, 32 new"
        made.append(rollout(work, name, "large", threads, 16, [32] * 8, LARGE_ROLLOUT_TARGETS, group=4))
    rows = 4 if quick else 16
    tokens = 64 if quick else 256
    for kind in ("score", "update"):
        target = UPDATE_TARGET if kind == "update" else None
        made.append(of_rows(work, kind, "small", threads, rows, tokens, target))
        made.append(of_rows(work, kind, "default", threads, rows, 40, None))
        if not quick:
            target = LARGE_UPDATE_TARGET if kind == "update" else None
            made.append(of_rows(work, kind, "large", threads, 1, 256, target))
    made.append(step(work, threads, quick))
    if threads > 1:
        made += scaling(made, threads)
    made += [variant(one) for one in made if one.name in variants(new, rows, tokens)]
    return made


def rollout(work, name, shape, threads, prompt, lengths, targets, group=None):
    group = group or (GROUP if len(lengths) > 1 else 1)
    stream = random.Random(len(lengths) * 1000 + prompt)
    prompts = [draw(stream, shape, prompt) for _ in range(len(lengths) // group)]
    job = {
        "job": "rollout", "model": str(work / shape), "threads": threads, "prompts": prompts, "group": group,
        # Of a large model one sampler with all threads reads the weights once for all rows, as in a run.
        "lengths": lengths, "unit_prompts": len(prompts) if shape == "large" else max(1, len(prompts) // threads),
    }
    jobs = {OURS: job, "loop": {**job, "backend": "loop"}, "generate": {**job, "backend": "generate"}}
    return Comparison(name, shape, jobs, targets)


def mixed_lengths(batch, longest, seed=0):
    """New tokens of each row: uniform from a sixteenth of the longest up to it, the same in every run."""
    stream = random.Random(seed)
    return [stream.randint(max(1, longest // 16), longest) for _ in range(batch)]


def of_rows(work, kind, shape, threads, n_rows, tokens, target):
    prompt = min(32, tokens // 2)
    stream = random.Random(n_rows * 1000 + tokens)
    vocabulary = VOCABULARY[shape]
    rows = []
    for at in range(n_rows):
        # One row of eight is demonstrated, with behaviour probability 1; what was sampled from a nearly uniform
        # policy has about its log-prob.
        demonstrated = at % 8 == 7
        n = tokens - prompt
        behavior = [0.0] * n if demonstrated else [stream.uniform(-0.1, 0.1) - math.log(vocabulary) for _ in range(n)]
        rows.append({
            "prompt": draw(stream, shape, prompt), "response": draw(stream, shape, n), "behavior": behavior,
            "advantage": stream.uniform(-1, 1), "demonstrated": demonstrated,
        })
    job = {
        "job": kind, "model": str(work / shape), "threads": threads, "rows": rows,
        "unit_rows": max(1, n_rows // threads),
    }
    targets = {"torch": target} if target else None
    lighter = ("torch",) if kind == "update" else ()
    return Comparison(f"{kind} {shape}, {n_rows} x {tokens}", shape, {OURS: job, "torch": job}, targets, lighter=lighter)


def step(work, threads, quick):
    n_prompts, prompt, new = (4, 16, 8) if quick else (16, 64, 128)
    stream = random.Random(0)
    job = {
        "job": "step", "model": str(work / "small"), "threads": threads, "group": GROUP, "new_tokens": new, "steps": 1,
        "prompts": [draw(stream, "small", prompt) for _ in range(n_prompts)],
        "unit_prompts": max(1, n_prompts // threads),
    }
    name = f"GRPO step small, {n_prompts} prompts of {prompt} x {GROUP}, {new} new"
    return Comparison(name, "small", {OURS: job, "TRL": job}, {"TRL": STEP_TARGET})


def scaling(made, threads):
    """Ours with one replica beside ours with all, on the largest small jobs."""
    found = []
    for start in ("rollout small", "update small", "GRPO step small"):
        largest = [one for one in made if one.name.startswith(start) and "mixed" not in one.name][-1]
        job = largest.jobs[OURS]
        # The same units: only who does them differs.
        alone = f"{OURS}, 1 replica"
        jobs = {OURS: job, alone: {**job, "threads": 1}}
        targets = None if start.startswith("GRPO") else {alone: SCALING_TARGET}
        name = f"1 to {threads} replicas: {largest.name}"
        found.append(Comparison(name, largest.shape, jobs, targets, memory=False))
    return found


def variants(new, rows, tokens):
    return (f"rollout small, batch 16, prompt 32, {new} new", f"update small, {rows} x {tokens}")


def variant(comparison):
    """PyTorch as it could be set up beside the plain way; no targets."""
    kind = "loop" if "loop" in comparison.jobs else "torch"
    plain = comparison.jobs[kind]
    jobs = {
        OURS: comparison.jobs[OURS],
        f"{kind}, bf16": {**plain, "dtype": "bfloat16"},
        f"{kind}, torch.compile": {**plain, "compile": True},
    }
    return Comparison(f"variants: {comparison.name}", comparison.shape, jobs, memory=False, equal=False)


def draw(stream, shape, n):
    return [stream.randrange(VOCABULARY[shape]) for _ in range(n)]


def make_models(program, work, configs, shapes):
    """Folders with random weights that both sides load; those that are there are kept."""
    work.mkdir(parents=True, exist_ok=True)
    for shape in sorted(shapes):
        folder = work / shape
        config = configs / "qwen2.5-0.5b.json"
        if SHAPES[shape] is not None:
            config = work / f"{shape}.json"
            text = json.dumps(config_of(SHAPES[shape]), indent=1)
            # Another shape of the same name would be measured unseen.
            if not config.exists() or config.read_text() != text:
                shutil.rmtree(folder, ignore_errors=True)
            config.write_text(text)
        if folder.exists():
            continue
        command = [program, "init", "--config", str(config), "--out", str(folder)]
        if shape == "small":
            write_tokenizer(work / "tokenizer", VOCABULARY[shape])
            command += ["--tokenizer", str(work / "tokenizer")]
        subprocess.run(command, check=True, stdout=sys.stderr)


def config_of(shape):
    return {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True, "attention_dropout": 0.0, "initializer_range": 0.02, "torch_dtype": "float32",
        **shape,
    }


def write_tokenizer(folder, vocabulary):
    """A character a token. The end token lies beyond the model's vocabulary: random weights never draw it."""
    folder.mkdir(exist_ok=True)
    letters = {chr(0x4E00 + token): token for token in range(vocabulary)}
    special = [
        {"id": vocabulary + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, text in enumerate(("<end>", "<pad>"))
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": letters, "unk_token": chr(0x4E00)},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
