"""Compares a checkpoint folder that we wrote with the folder it was made from, as Python `transformers` reads both.

    round_trip.py ORIGINAL SAVED [--dtype bfloat16] [--tolerance 1e-5]

Both are loaded in float32 and run on random token sequences. `--dtype` names what SAVED was written in: a narrower
one than the weights of ORIGINAL rounds these to it before they are widened. Beside the logits, the weights, the
files and index, the configuration and the tokenizer files are compared. Every property is one check; the last
line counts them, and one failure makes the exit status 1.
"""

import argparse
import json
import os
import pathlib
import re
import sys
from typing import Any

# Nothing is fetched, and the figures do not depend on the machine's accelerator.
os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false")

import safetensors
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers_check import Checks, Mismatch, positive, read_weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Files that a save carries over unchanged, where the original has them.
SIDE_FILES = [
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
]
TEXTS = ["", "  Let 12 + 34 = x;\n so \\boxed{46}. ", "∑ é 你好 🙂\n\n\t<|im_end|> after"]
MESSAGES = [{"role": "user", "content": " How much is 12+34?\n"}]
LENGTHS = [1, 2, 7, 31, 64, 150]
SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")

Said = tuple[Any, str | None]


def read_config(folder: pathlib.Path) -> Any:
    """The config; `rope_parameters`, which transformers 5 writes, in the words of 4.57."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    rope = dict(json.loads((folder / "config.json").read_text()).get("rope_parameters") or {})
    if rope and int(transformers.__version__.split(".")[0]) < 5:
        config.rope_theta = rope.pop("rope_theta", config.rope_theta)
        config.rope_scaling = None if rope.get("rope_type", "default") == "default" else rope
        del config.rope_parameters
    return config


def load_model(folder: pathlib.Path, rounded_to: torch.dtype) -> tuple[PreTrainedModel, str]:
    """In float32, every parameter with a value that `rounded_to` holds; buffers stay as they are."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        config=read_config(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
        local_files_only=True,
    )
    # What the file has beyond the model is check_weights' to judge.
    wrong = {key: found for key, found in info.items() if found and key != "unexpected_keys"}
    if wrong:
        raise Mismatch(f"transformers loaded it with {wrong}")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(rounded_to))
    return model.eval(), f"{type(model).__name__}, {model.num_parameters()} parameters"


def check_files(folder: pathlib.Path) -> Said:
    """The weights are in one file, or in the shards of an index that says what is where and how much."""
    index_file = folder / "model.safetensors.index.json"
    present = {file.name for file in folder.glob("*.safetensors")}
    if not index_file.exists():
        if present != {"model.safetensors"}:
            raise Mismatch(f"no index, and the files {sorted(present)}")
        check_format(folder / "model.safetensors")
        return None, "one file"
    index = json.loads(index_file.read_text())
    weight_map, total = index["weight_map"], index["metadata"]["total_size"]
    named = set(weight_map.values())
    if named != present:
        raise Mismatch(f"the index and the folder differ in {sorted(named ^ present)}")
    numbers = [SHARD.fullmatch(name) for name in sorted(named)]
    wanted = [(place, len(named)) for place in range(1, len(named) + 1)]
    if [(int(found[1]), int(found[2])) if found else None for found in numbers] != wanted:
        raise Mismatch(f"the shards are called {sorted(named)}")
    size = 0
    for name in sorted(named):
        check_format(folder / name)
        with safetensors.safe_open(folder / name, framework="pt") as weights:
            held = set(weights.keys())
            listed = {key for key, file in weight_map.items() if file == name}
            if held != listed:
                raise Mismatch(f"{name} and the index differ in {sorted(held ^ listed)}")
            size += sum(weights.get_tensor(key).nbytes for key in held)
    if type(total) is not int or total != size:
        raise Mismatch(f"total_size is {total!r}, the tensors have {size} bytes")
    return None, f"{len(named)} shards, {len(weight_map)} tensors, {size} bytes"


def check_format(file: pathlib.Path) -> None:
    """Older transformers refuse a file whose metadata lacks this."""
    with safetensors.safe_open(file, framework="pt") as weights:
        metadata = weights.metadata()
    if (metadata or {}).get("format") != "pt":
        raise Mismatch(f'{file.name} has the metadata {metadata}, not "format": "pt"')


def check_weights(original: PreTrainedModel, folder: pathlib.Path, dtype: torch.dtype | None) -> Said:
    """SAVED holds exactly the model's tensors, with the original's values and in `dtype`, where one is given."""
    stored, state = read_weights(folder), original.state_dict()
    tied = set(original._tied_weights_keys or []) if original.config.tie_word_embeddings else set()
    missing, extra = state.keys() - stored.keys() - tied, stored.keys() - state.keys()
    if missing or extra:
        raise Mismatch(f"missing {sorted(missing)}, not of the model {sorted(extra)}")
    for name, tensor in sorted(stored.items()):
        if dtype is not None and tensor.dtype != dtype:
            raise Mismatch(f"{name} is {tensor.dtype}, not {dtype}")
        if tensor.shape != state[name].shape:
            raise Mismatch(f"{name} has shape {list(tensor.shape)}, the original {list(state[name].shape)}")
        if not torch.equal(tensor.float(), state[name]):
            most = (tensor.float() - state[name]).abs().max()
            raise Mismatch(f"{name} is not the original's, by {float(most):.3e} at most")
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in stored.values()})
    return None, f"{len(stored)} tensors in {'/'.join(kinds)}, equal to the last bit"


def check_config(original: pathlib.Path, saved: pathlib.Path) -> Said:
    """What transformers makes of both files is the same but for the dtype, which is that of the weights."""
    left, right = (read_config(folder).to_dict() for folder in (original, saved))
    free = {"dtype", "torch_dtype", "transformers_version", "_name_or_path"}
    different = [key for key in sorted((left.keys() | right.keys()) - free) if left.get(key) != right.get(key)]
    if different:
        raise Mismatch("; ".join(f"{key} was {left.get(key)!r}, is {right.get(key)!r}" for key in different))
    raw = json.loads((saved / "config.json").read_text())
    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in read_weights(saved).values()}
    said = {raw[key] for key in ("dtype", "torch_dtype") if key in raw}
    # Loaded with dtype="auto", the model gets what is said here.
    if not said <= kinds or len(said) > 1:
        raise Mismatch(f"it names the dtype {sorted(said)}, the weights are {sorted(kinds)}")
    return None, f"{right['model_type']}, dtype {'/'.join(said) or 'not named'}"


def check_side_file(original: pathlib.Path, saved: pathlib.Path) -> Said:
    if not saved.exists():
        raise Mismatch("not saved")
    if not original.exists():
        raise Mismatch("the original has none")
    left, right = original.read_bytes(), saved.read_bytes()
    if left != right:
        place = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
        raise Mismatch(f"{len(right)} bytes instead of {len(left)}, different from byte {place} on")
    return None, f"{len(left)} bytes, identical"


def check_tokenizer(original: pathlib.Path, saved: pathlib.Path) -> Said:
    left, right = (AutoTokenizer.from_pretrained(folder, local_files_only=True) for folder in (original, saved))
    for text in TEXTS:
        if left(text).input_ids != right(text).input_ids:
            raise Mismatch(f"{text!r} becomes {right(text).input_ids}, was {left(text).input_ids}")
    if left.chat_template != right.chat_template:
        raise Mismatch("the chat templates differ")
    if left.chat_template:
        rendered = [
            tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
            for tokenizer in (left, right)
        ]
        if rendered[0] != rendered[1]:
            raise Mismatch(f"a message becomes {rendered[1]!r}, was {rendered[0]!r}")
    return None, f"{type(right).__name__}, {len(right)} tokens"


class Logits:
    """Runs both models on the same sequences and keeps the largest difference."""

    def __init__(self, original: PreTrainedModel, saved: PreTrainedModel, tolerance: float) -> None:
        self.original, self.saved, self.tolerance = original, saved, tolerance
        self.largest = 0.0

    @torch.inference_mode()
    def compare(self, ids: torch.Tensor) -> Said:
        wanted, found = (model(ids[None], use_cache=False).logits[0] for model in (self.original, self.saved))
        if found.shape != wanted.shape:
            raise Mismatch(f"logits of shape {list(found.shape)}, the original's {list(wanted.shape)}")
        difference = float((found - wanted).abs().max())
        # Written so that "not a number" is larger than every number and beyond every tolerance.
        if not difference <= self.largest:
            self.largest = difference
        if not difference <= self.tolerance:
            raise Mismatch(f"logits {difference:.3e} apart, tolerance {self.tolerance:g}")
        return None, None


def compare_logits(checks: Checks, original: PreTrainedModel, saved: PreTrainedModel, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(20261121)
    logits = Logits(original, saved, tolerance)
    vocabulary = min(original.config.vocab_size, saved.config.vocab_size)
    limit = original.config.max_position_embeddings
    for number, length in enumerate(min(length, limit) for length in LENGTHS):
        ids = torch.randint(vocabulary, (length,), generator=generator)
        checks.run(f"sequence {number} of {length} tokens", logits.compare, ids)
    print(f"largest absolute difference of a logit: {logits.largest:.3e}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("original", type=pathlib.Path, metavar="ORIGINAL", help="checkpoint folder we read")
    parser.add_argument("saved", type=pathlib.Path, metavar="SAVED", help="checkpoint folder we wrote")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="what SAVED has to be stored in (default: any)")
    parser.add_argument("--tolerance", type=positive, default=1e-5, help="largest difference of a logit (%(default)s)")
    args = parser.parse_args(arguments)
    # A folder that is not there would be taken for a name on a model hub.
    for folder in (args.original, args.saved):
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    transformers.utils.logging.disable_progress_bar()
    dtype = DTYPES[args.dtype] if args.dtype else None

    versions = (transformers, torch, safetensors)
    print("python", sys.version.split()[0], *(f"{module.__name__} {module.__version__}" for module in versions))
    print(f"original {args.original}, saved {args.saved}, float32 on the CPU")
    checks = Checks()
    for name in SIDE_FILES:
        original, saved = args.original / name, args.saved / name
        if original.exists() or saved.exists():
            checks.run(name, check_side_file, original, saved)
    checks.run("tokenizer", check_tokenizer, args.original, args.saved)
    checks.run("weight files", check_files, args.saved)
    checks.run("config", check_config, args.original, args.saved)
    original = checks.run("original", load_model, args.original, dtype or torch.float32)
    saved = checks.run("saved", load_model, args.saved, torch.float32)
    if original is not None:
        checks.run("weights", check_weights, original, args.saved, dtype)
    if original is not None and saved is not None:
        compare_logits(checks, original, saved, args.tolerance)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return min(checks.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
