"""Tests of transformers_check.py: test_transformers_check.py CONFORMANCE_MODELS (a folder of model folders).

Right scores come from each folder's expected.json, whose log-probs and entropies another run of transformers
made; a fault is planted into a copy of the scores or of the folder, and the check must name it.
"""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

from safetensors.torch import load_file, save_file

# No __pycache__ in the work tree.
sys.dont_write_bytecode = True
import transformers_check

MODELS = None
# Its expected.json was computed with RoPE frequencies that had been rounded to bfloat16 with the weights, which
# transformers does not do when it loads a folder: 1.1e-2 apart as loaded, 1.8e-6 with the frequencies rounded.
ROUNDED_FREQUENCIES = "qwen2-untied-sharded-bf16"


def rows(folder, prompt_len=3):
    cases = json.loads((folder / "expected.json").read_text())["forward"]
    # Entropy i of expected.json belongs to the position that predicts token i+1.
    return [
        {
            "ids": case["ids"],
            "prompt_len": prompt_len,
            "logprobs": case["token_log_prob"][prompt_len - 1 :],
            "entropy": case["entropy"][prompt_len - 1 : -1],
        }
        for case in cases
        if len(case["ids"]) > prompt_len
    ]


def check(folder, scores, *flags):
    """Exit status and standard output."""
    said = io.StringIO()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for row in scores:
            file.write(row if isinstance(row, str) else json.dumps(row))
            file.write("\n")
        file.flush()
        with contextlib.redirect_stdout(said):
            status = transformers_check.main(["--model", str(folder), "--scores", file.name, *flags])
    return status, said.getvalue()


class TransformersCheck(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.copy = pathlib.Path(scratch.name) / "model"
        shutil.copytree(MODELS / "qwen2-tied", self.copy, copy_function=shutil.copyfile)
        self.copy.chmod(0o755)

    def fails(self, folder, scores, *words):
        status, said = check(folder, scores)
        self.assertEqual(status, 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_right_scores_of_every_family_pass(self):
        for folder in sorted(path for path in MODELS.iterdir() if (path / "expected.json").exists()):
            with self.subTest(folder.name):
                scores = rows(folder)
                tolerance = "2e-2" if folder.name == ROUNDED_FREQUENCIES else "1e-5"
                status, said = check(folder, scores, "--tolerance", tolerance)
                self.assertEqual(status, 0, said)
                # Model, weights, tokenizer, chat template and the scores file, beside the rows.
                self.assertEqual(said.splitlines()[-1], f"{len(scores) + 5} passed, 0 failed", said)

    def test_one_value_that_is_off_fails_and_is_named(self):
        for key, name in (("logprobs", "log-prob"), ("entropy", "entropy")):
            scores = rows(self.copy)
            scores[-1][key][2] += 3e-4
            self.fails(self.copy, scores, f"{name} of response token 2", f"line {len(scores)}, ", "1 failed")
            status, said = check(self.copy, scores, "--tolerance", "1e-3")
            self.assertEqual(status, 0, said)

    def test_scores_of_the_neighbouring_position_fail(self):
        scores = rows(self.copy)
        scores[-1]["prompt_len"] += 1
        scores[-1]["logprobs"].pop()
        scores[-1]["entropy"].pop()
        self.fails(self.copy, scores, "log-prob of response token")

    def test_rows_that_cannot_be_compared_fail_without_hiding_the_others(self):
        good = rows(self.copy)[-1]
        bad = [
            "{",
            {**good, "ids": [*good["ids"][:-1], 384]},
            {**good, "prompt_len": 0},
            {**good, "prompt_len": len(good["ids"])},
            {**good, "entropy": good["entropy"][:-1]},
            {**good, "logprobs": [None, *good["logprobs"][1:]]},
            {key: value for key, value in good.items() if key != "logprobs"},
        ]
        words = ["not JSON", "0 to 383", "is 0 with", "wanted 1 to", "values for", "is None", "holds None"]
        self.fails(self.copy, [*bad, good], *words, "compared 1 rows", "6 passed, 7 failed")

    def test_an_empty_scores_file_fails(self):
        self.fails(self.copy, [], "no sequence in it")

    def test_weights_that_are_not_the_models_fail(self):
        file = self.copy / "model.safetensors"
        right = load_file(file)
        embedding = right["model.embed_tokens.weight"]
        faults = {
            "lm_head.weight is not what the model loaded": {**right, "lm_head.weight": embedding + 1},
            "model.norm.weight": {name: value for name, value in right.items() if name != "model.norm.weight"},
            "model.extra": {**right, "model.extra": right["model.norm.weight"].clone()},
            "Error": {**right, "model.norm.weight": right["model.norm.weight"][:-1].clone()},
        }
        for words, tensors in faults.items():
            with self.subTest(words):
                save_file(tensors, file, metadata={"format": "pt"})
                self.fails(self.copy, rows(self.copy), words)
        save_file({**right, "lm_head.weight": embedding.clone()}, file, metadata={"format": "pt"})
        status, said = check(self.copy, rows(self.copy))
        self.assertEqual(status, 0, said)

    def test_a_template_that_does_not_render_fails_and_none_is_allowed(self):
        template = self.copy / "chat_template.jinja"
        template.chmod(0o644)
        template.write_text("{% for m in messages %}{{ m['content'] }}")
        self.fails(self.copy, rows(self.copy), "FAILED chat template")
        template.write_text("nothing of the message")
        self.fails(self.copy, rows(self.copy), "message is not in")
        template.unlink()
        status, said = check(self.copy, rows(self.copy))
        self.assertEqual(status, 0, said)
        self.assertIn("no chat template", said)


if __name__ == "__main__":
    MODELS = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else sys.exit(__doc__)
    unittest.main()
