"""Tests of round_trip.py: test_round_trip.py CONFORMANCE_MODELS (a folder of model folders).

A copy of a folder, and one that transformers wrote anew, are right; a fault is planted and must be named.
"""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import round_trip

MODELS = pathlib.Path()


def check(original: pathlib.Path, saved: pathlib.Path, *flags: str) -> tuple[int, str]:
    """Exit status and standard output."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = round_trip.main([str(original), str(saved), *flags])
    return status, said.getvalue()


def edit(file: pathlib.Path, change: Callable[[Any], None]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


class RoundTrip(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def copy(self, name: str) -> pathlib.Path:
        copy = self.scratch / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(MODELS / name, copy, copy_function=shutil.copyfile)
        copy.chmod(0o755)
        return copy

    def written(self, name: str, dtype: torch.dtype, shard: str) -> pathlib.Path:
        """As transformers writes the weights and the config; the other files are copied."""
        folder = self.copy(name)
        for file in folder.glob("model*"):
            file.unlink()
        model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=dtype)
        generation = (folder / "generation_config.json").read_bytes()
        model.save_pretrained(folder, max_shard_size=shard)
        (folder / "generation_config.json").write_bytes(generation)
        return folder

    def passes(self, original: pathlib.Path, saved: pathlib.Path, *flags: str) -> str:
        status, said = check(original, saved, *flags)
        self.assertEqual(status, 0, said)
        self.assertIn(", 0 failed", said)
        return said

    def fails(self, original: pathlib.Path, saved: pathlib.Path, *words: str, flags: tuple[str, ...] = ()) -> None:
        status, said = check(original, saved, *flags)
        self.assertEqual(status, 1, said)
        for word in words:
            self.assertIn(word, said)

    def folders(self) -> list[str]:
        return sorted(path.name for path in MODELS.iterdir() if (path / "expected.json").exists())

    def test_a_copy_of_every_folder_passes(self) -> None:
        for name in self.folders():
            with self.subTest(name):
                self.assertIn("difference of a logit: 0.000e+00", self.passes(MODELS / name, self.copy(name)))

    def test_what_transformers_writes_passes_in_every_dtype(self) -> None:
        for name in self.folders():
            for dtype in ("float32", "bfloat16"):
                with self.subTest(f"{name} {dtype}"):
                    saved = self.written(name, round_trip.DTYPES[dtype], "100KB")
                    self.passes(MODELS / name, saved, "--dtype", dtype)

    def test_rounded_weights_differ_from_the_original_unless_it_is_rounded(self) -> None:
        saved = self.written("qwen2-tied", torch.bfloat16, "1GB")
        self.fails(MODELS / "qwen2-tied", saved, "FAILED weights", "FAILED sequence 5", "e-0")
        self.fails(MODELS / "qwen2-tied", saved, "is torch.bfloat16, not", flags=("--dtype", "float32"))
        self.passes(MODELS / "qwen2-tied", saved, "--dtype", "bfloat16")

    def test_one_changed_weight_fails(self) -> None:
        saved = self.copy("qwen2-tied")
        right = load_file(saved / "model.safetensors")
        norm = right["model.norm.weight"]
        faults = {
            "model.norm.weight is not the original's": {**right, "model.norm.weight": norm * 1.001},
            "missing ['model.norm.weight']": {name: right[name] for name in right if name != "model.norm.weight"},
            "not of the model ['model.extra']": {**right, "model.extra": norm.clone()},
            "FAILED saved": {**right, "model.norm.weight": norm[:-1].clone()},
            "FAILED sequence 0": {**right, "model.norm.weight": norm * float("nan")},
        }
        for words, tensors in faults.items():
            with self.subTest(words):
                save_file(tensors, saved / "model.safetensors", metadata={"format": "pt"})
                self.fails(MODELS / "qwen2-tied", saved, words)
        save_file(right, saved / "model.safetensors")
        self.fails(MODELS / "qwen2-tied", saved, "FAILED weight files", "1 failed")

    def test_a_wrong_index_fails(self) -> None:
        name = "qwen2-untied-sharded-bf16"

        def size(index: Any) -> None:
            index["metadata"]["total_size"] += 2

        def place(index: Any) -> None:
            index["weight_map"]["model.norm.weight"] = "model-00001-of-00003.safetensors"

        for change, words in ((size, "total_size is"), (place, "and the index differ in ['model.norm.weight']")):
            with self.subTest(words):
                saved = self.copy(name)
                edit(saved / "model.safetensors.index.json", change)
                self.fails(MODELS / name, saved, "FAILED weight files", words)
        saved = self.copy(name)
        shutil.copyfile(MODELS / "qwen2-tied/model.safetensors", saved / "model.safetensors")
        self.fails(MODELS / name, saved, "the index and the folder differ in ['model.safetensors']")

    def test_a_changed_side_file_fails(self) -> None:
        for name in ("tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
            with self.subTest(name):
                saved = self.copy("qwen2-tied")
                text = (saved / name).read_text()
                (saved / name).write_text(f"{text}\n")
                self.fails(MODELS / "qwen2-tied", saved, f"FAILED {name}", f"different from byte {len(text)} on")
                (saved / name).unlink()
                self.fails(MODELS / "qwen2-tied", saved, f"FAILED {name}: not saved")
        saved = self.copy("qwen2-tied")
        (saved / "added_tokens.json").write_text("{}")
        self.fails(MODELS / "qwen2-tied", saved, "FAILED added_tokens.json: the original has none")

    def test_a_changed_config_fails(self) -> None:
        for key, value in (("rope_theta", 10001.0), ("dtype", "bfloat16"), ("rms_norm_eps", 1e-5)):
            with self.subTest(key):
                saved = self.copy("qwen2-tied")
                edit(saved / "config.json", lambda config: config.update({key: value}))
                self.fails(MODELS / "qwen2-tied", saved, "FAILED config", key)

    def test_the_words_of_transformers_5_are_read(self) -> None:
        def newer(config: Any) -> None:
            theta, scaling = config.pop("rope_theta"), config.pop("rope_scaling")
            config["rope_parameters"] = {"rope_type": "default", **(scaling or {}), "rope_theta": theta}

        for name in ("llama3-rope-scaled", "qwen3-qk-norm"):
            with self.subTest(name):
                saved = self.copy(name)
                edit(saved / "config.json", newer)
                self.passes(MODELS / name, saved)


if __name__ == "__main__":
    MODELS = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else sys.exit(__doc__)
    torch.set_num_threads(1)
    unittest.main()
