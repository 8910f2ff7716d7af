"""Makes and checks cases for `cargo xtask conformance objective`, in the format of shared/conformance/objective.

    make_objective_cases.py check FILE                           recomputes every figure of FILE from its inputs
    make_objective_cases.py make OUT --seed N [--count N]        writes N cases, with more variety than the shared ones

The formulas are those of the reference (LUFFY, arXiv 2504.14945), written down from a description of them, in
PyTorch and float64; gradients are PyTorch's. A figure that the reference takes over an empty selection is NaN
there and null in a file.

Inputs are drawn with NumPy and rounded to float32, so that an evaluation in float32 sees the same case. Tokens that
no figure reads may hold log-probs far outside of what a policy gives: exp of their differences is finite in float64
and infinite in float32.
"""

import argparse
import json
import math
import pathlib
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy
import torch

torch.set_default_dtype(torch.float64)

Json = dict[str, Any]
Tensor = torch.Tensor

CHECK_TOLERANCE = 1e-9
PROB_EPSILON = 1e-6
STD_EPSILON = 1e-6
WHITEN_EPSILON = 1e-8


# --- the formulas ----------------------------------------------------------------------------------------------


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """NaN over nothing."""
    return (values * mask).sum() / mask.sum()


def or_zero(value: Tensor) -> Tensor:
    return torch.zeros(()) if torch.isnan(value) else value


def reduce(losses: Tensor, mask: Tensor, over_length: bool) -> Tensor:
    return (losses * mask).sum() / mask.shape[-1] if over_length else masked_mean(losses, mask)


def regularized(prob: Tensor, name: str) -> Tensor:
    return prob / (prob + float(name.removeprefix("p_div_p_")))


def shape_off_policy(log_prob: Tensor, name: str, weight: float, exponent: float) -> Tensor:
    prob = log_prob.exp()
    match name:
        case "no_reshape":
            return prob
        case "logp":
            return weight * log_prob
        case "p_logp":
            return prob + weight * log_prob
        case "square_root":
            return prob.sqrt()
        case "pow":
            return prob**exponent
        case _:
            return regularized(prob, name)


def shape_on_policy(log_prob: Tensor, before: Tensor, name: str, weight: float, exponent: float) -> Tensor:
    log_ratio = log_prob - before
    ratio = log_ratio.exp()
    match name:
        case "no_reshape":
            return ratio
        case "logp":
            return log_ratio
        case "p_logp":
            return ratio + weight * log_ratio
        case "square_root":
            return ratio.sqrt()
        case "pow":
            return ratio**exponent
        case _:
            return regularized(log_prob.exp(), name) / regularized(before.exp(), name)


def clip_losses(advantages: Tensor, ratio: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Losses before clipping and of the clipped ratio."""
    return -advantages * ratio, -advantages * ratio.clamp(low, high)


def mixed_policy_loss(config: Json, inputs: Json) -> Json:
    log_prob = torch.tensor(inputs["log_prob"], requires_grad=True)
    before, advantages = torch.tensor(inputs["old_log_prob"]), torch.tensor(inputs["advantages"])
    learned = torch.tensor(inputs["response_mask"])
    off = torch.tensor(inputs["off_policy_mask"]).double()
    on_reshape, off_reshape = (
        [config[f"{side}_policy_reshape{key}"] for key in ("", "_weight", "_pow_exp")] for side in ("on", "off")
    )

    ratio = shape_on_policy(log_prob, before, *on_reshape)
    high = max(config["clip_upper_bound"], 1 + config["clip_range"])
    plain, clipped = clip_losses(advantages, ratio, 1 - config["clip_range"], high)
    on_losses = plain if config["remove_clip"] else torch.maximum(plain, clipped)
    clip_fraction = torch.zeros(()) if config["remove_clip"] else masked_mean((clipped > plain).double(), learned)

    if inputs["behaviour_prob"] is None:
        shaped = shape_off_policy(log_prob, *off_reshape)
    else:
        shaped = log_prob.exp() / (torch.tensor(inputs["behaviour_prob"]) + PROB_EPSILON) * off
    most, least = config["off_max_clip"], config["off_min_clip"]
    above, below = torch.zeros(()), torch.zeros(())
    if most is not None:
        above, shaped = masked_mean((shaped > most).double(), off * learned), shaped.clamp(max=most)
    if least is not None:
        below, shaped = masked_mean((shaped < least).double(), off * learned), shaped.clamp(min=least)
    off_losses = -advantages * shaped

    losses, counted = off * off_losses + (1 - off) * on_losses, learned
    if config["all_max_clip"] is not None:
        kept = (log_prob.exp() <= config["all_max_clip"]).double()
        losses, counted = losses * kept, learned * kept
    loss = reduce(losses, counted, config["remove_token_mean"])
    loss.backward()
    return {
        "pg_loss": loss,
        "off_pg_loss": or_zero(masked_mean(off_losses, off * learned)),
        "on_pg_loss": masked_mean(on_losses, (1 - off) * learned),
        "off_pg_clipfrac": torch.zeros(()),
        "on_pg_clipfrac": clip_fraction,
        "ppo_kl": masked_mean(before - log_prob, learned),
        "off_policy_prob": or_zero(masked_mean(log_prob.exp(), off * learned)),
        "on_policy_prob": or_zero(masked_mean(before.exp(), (1 - off) * learned)),
        "off_ratio_mean": or_zero(masked_mean(shaped, off * learned)),
        "off_ratio_max_clip_frac": above,
        "off_ratio_min_clip_frac": below,
        "grad_log_prob": log_prob.grad,
    }


def ppo_clip_loss(config: Json, inputs: Json) -> Json:
    log_prob = torch.tensor(inputs["log_prob"], requires_grad=True)
    before, advantages = torch.tensor(inputs["old_log_prob"]), torch.tensor(inputs["advantages"])
    learned = torch.tensor(inputs["response_mask"])
    ratio = (log_prob - before).exp()
    plain, clipped = clip_losses(advantages, ratio, 1 - config["clip_range"], 1 + config["clip_range"])
    losses = plain if config["remove_clip"] else torch.maximum(plain, clipped)
    loss = reduce(losses, learned, config["remove_token_mean"])
    loss.backward()
    return {
        "pg_loss": loss,
        # Against the losses that were optimised, so that what was clipped no longer counts.
        "pg_clipfrac": masked_mean((clipped > losses).double(), learned),
        "ppo_kl": masked_mean(before - log_prob, learned),
        "grad_log_prob": log_prob.grad,
    }


def sft_loss(_: Json, inputs: Json) -> Json:
    log_prob = torch.tensor(inputs["log_prob"], requires_grad=True)
    loss = masked_mean(-log_prob, torch.tensor(inputs["response_mask"]))
    loss.backward()
    return {"loss": loss, "grad_log_prob": log_prob.grad}


def kl(config: Json, inputs: Json) -> Json:
    log_ratio = torch.tensor(inputs["log_prob"]) - torch.tensor(inputs["ref_log_prob"])
    match config["estimator"]:
        case "kl":
            return {"kl": log_ratio}
        case "abs":
            return {"kl": log_ratio.abs()}
        case "mse":
            return {"kl": 0.5 * log_ratio**2}
        case "low_var_kl":
            return {"kl": ((-log_ratio).exp() + log_ratio - 1).clamp(-10, 10)}
        case name:
            raise ValueError(f"no estimator is called {name}")


def token_statistics(_: Json, inputs: Json) -> Json:
    logits = torch.tensor(inputs["logits"])
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, torch.tensor(inputs["token_ids"])[..., None])[..., 0]
    return {"entropy": logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1), "log_prob": chosen}


def advantage(config: Json, inputs: Json) -> Json:
    rewards, learned = torch.tensor(inputs["token_rewards"]), torch.tensor(inputs["response_mask"])
    match config["estimator"]:
        case "reinforce":
            return {"advantages": rewards.sum(-1, keepdim=True) * learned}
        case "reinforce_plus_plus":
            returns, following = torch.zeros_like(rewards), torch.zeros(len(rewards))
            for at in reversed(range(rewards.shape[1])):
                returns[:, at] = rewards[:, at] + following
                following = returns[:, at] * learned[:, at]
            count = learned.sum()
            mean = masked_mean(returns, learned)
            variance = masked_mean((returns - mean) ** 2, learned) * count / (count - 1)
            return {"advantages": (returns - mean) / (variance + WHITEN_EPSILON).sqrt() * learned}
        case "grpo" | "grpo_split" as name:
            scores = rewards.sum(-1)
            result = torch.zeros_like(scores)
            for group in dict.fromkeys(inputs["group"]):
                rows = [row for row, its in enumerate(inputs["group"]) if its == group]
                compared = [row for row in rows if name == "grpo" or inputs["on_policy"][row]]
                several = len(compared) > 1
                mean = scores[compared].mean() if several else torch.zeros(())
                std = scores[compared].std() if several else torch.ones(())
                if name == "grpo_split" and std == 0:
                    std = torch.ones(())
                result[rows] = scores[rows] - mean
                if config["normalise_by_std"]:
                    result[rows] /= std + STD_EPSILON
            return {"advantages": result[:, None] * learned}
        case name:
            raise ValueError(f"no estimator is called {name}")


KINDS: dict[str, Callable[[Json, Json], Json]] = {
    function.__name__: function
    for function in (mixed_policy_loss, ppo_clip_loss, sft_loss, kl, token_statistics, advantage)
}


def plain_numbers(value: Any) -> Any:
    """Nested lists and numbers, with null for NaN."""
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list):
        return [plain_numbers(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def figures(kind: str, config: Json, inputs: Json) -> Json:
    return {name: plain_numbers(value) for name, value in KINDS[kind](config, inputs).items()}


# --- inputs ----------------------------------------------------------------------------------------------------


class Draw:
    """Inputs from one stream of random numbers."""

    def __init__(self, seed: int, most_rows: int = 8, most_tokens: int = 16) -> None:
        self.random = numpy.random.default_rng(seed)
        self.most = (most_rows, most_tokens)

    def one_of(self, *choices: Any) -> Any:
        return choices[self.random.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def sizes(self) -> tuple[int, int]:
        rows, tokens = (int(self.random.integers(1, most + 1)) for most in self.most)
        return rows, tokens

    def log_probs(self, shape: tuple[int, ...]) -> numpy.ndarray:
        """Common, nearly certain and very unlikely tokens."""
        values = -self.random.exponential(1.5, shape)
        kind = self.random.random(shape)
        values = numpy.where(kind < 0.1, -10.0 ** self.random.uniform(-9, -3, shape), values)
        values = numpy.where(kind > 0.93, -self.random.uniform(8, 40, shape), values)
        # Probabilities that float32 does not hold; their ratios it does.
        return numpy.where(kind > 0.98, -self.random.uniform(90, 200, shape), values)

    def moved(self, log_probs: numpy.ndarray) -> numpy.ndarray:
        """Log-probs of the same tokens under a policy nearby, or now and then far away."""
        shape = log_probs.shape
        far = numpy.where(self.random.random(shape) < 0.05, 3.0, self.one_of(0.0, 0.05, 0.3))
        return numpy.minimum(log_probs + far * self.random.normal(size=shape), -1e-6)

    def mask(self, shape: tuple[int, int]) -> numpy.ndarray:
        """Ragged rows; now and then with holes, an empty row, or nothing at all."""
        rows, width = shape
        if self.chance(0.03):
            return numpy.zeros(shape)
        lengths = self.random.integers(0 if self.chance(0.2) else 1, width + 1, rows)
        mask = (numpy.arange(width) < lengths[:, None]).astype(float)
        return mask * (self.random.random(shape) < 0.8) if self.chance(0.2) else mask

    def off_policy(self, shape: tuple[int, int]) -> numpy.ndarray:
        """Which tokens are demonstrated: none, all, whole rows, beginnings of rows, or any."""
        rows, width = shape
        match self.one_of("none", "all", "rows", "rows", "prefix", "prefix", "any"):
            case "none":
                lengths = numpy.zeros(rows)
            case "all":
                lengths = numpy.full(rows, width)
            case "rows":
                lengths = width * self.random.integers(0, 2, rows)
            case "prefix":
                lengths = self.random.integers(0, width + 1, rows)
            case _:
                return self.random.random(shape) < 0.5
        return numpy.arange(width) < lengths[:, None]

    def advantages(self, shape: tuple[int, int], learned: numpy.ndarray) -> numpy.ndarray:
        values = self.random.normal(size=(shape[0], 1)) * numpy.ones(shape)
        if self.chance(0.2):
            values = self.random.normal(size=shape)
        values[self.random.random(shape[0]) < 0.1] = 0.0
        return values * learned

    def mixed_policy_loss(self) -> tuple[Json, Json]:
        def names(*gammas: str) -> list[str]:
            return ["no_reshape", "logp", "p_logp", "square_root", "pow", *(f"p_div_p_{gamma}" for gamma in gammas)]

        config = {
            "clip_range": self.one_of(0.1, 0.2, 0.3),
            "clip_upper_bound": self.one_of(1.0, 1.0, 1.15, 1.28, 10.0),
            "off_policy_reshape": self.one_of(*names("0.1", "0.3", "0.5")),
            "off_policy_reshape_weight": self.one_of(0.1, 0.5, 1.0),
            "off_policy_reshape_pow_exp": self.one_of(0.3, 0.5, 2.0),
            "on_policy_reshape": self.one_of("no_reshape", *names("0.1", "0.5")),
            "on_policy_reshape_weight": self.one_of(0.1, 1.0),
            "on_policy_reshape_pow_exp": self.one_of(0.5, 0.7),
            "off_max_clip": self.one_of(None, None, 0.6, 0.9),
            "off_min_clip": self.one_of(None, None, 0.05, 0.2),
            "all_max_clip": self.one_of(None, None, 0.65, 0.9, 1e-9),
            "remove_token_mean": self.chance(0.5),
            "remove_clip": self.chance(0.5),
        }
        shape = self.sizes()
        learned, off = self.mask(shape), self.off_policy(shape)
        log_prob = self.log_probs(shape)
        before = self.moved(log_prob)
        # Demonstrated tokens are scored too before an update, and nothing keeps the policy near that score.
        before = numpy.where(off & (self.random.random(shape) < 0.2), self.log_probs(shape), before)
        before = numpy.where(off & (self.random.random(shape) < 0.02), -300.0, before)
        # Where nothing is learned the difference of log-probs may be anything.
        log_prob, before = self.garbage(learned, log_prob, before)
        behaviour = None
        if self.chance(0.3):
            behaviour = self.random.uniform(0.001, 1.0, shape)
            behaviour[self.random.random(shape) < 0.05] = 1.0
            behaviour[self.random.random(shape) < 0.02] = 1e-5
            behaviour[self.random.random(shape) < 0.01] = 0.0
        inputs = {
            "log_prob": log_prob,
            "old_log_prob": before,
            "advantages": self.advantages(shape, learned),
            "response_mask": learned,
            "off_policy_mask": off,
            "behaviour_prob": behaviour,
        }
        return config, inputs

    def garbage(self, learned: numpy.ndarray, *log_probs: numpy.ndarray) -> list[numpy.ndarray]:
        if self.chance(0.7):
            return list(log_probs)
        return [
            numpy.where(learned > 0, values, -self.random.choice([1e-6, 100.0, 300.0], learned.shape))
            for values in log_probs
        ]

    def ppo_clip_loss(self) -> tuple[Json, Json]:
        config = {
            "clip_range": self.one_of(0.1, 0.2, 0.3),
            "remove_token_mean": self.chance(0.5),
            "remove_clip": self.chance(0.5),
        }
        shape = self.sizes()
        learned, log_prob = self.mask(shape), self.log_probs(shape)
        log_prob, before = self.garbage(learned, log_prob, self.moved(log_prob))
        inputs = {
            "log_prob": log_prob,
            "old_log_prob": before,
            "advantages": self.advantages(shape, learned),
            "response_mask": learned,
        }
        return config, inputs

    def sft_loss(self) -> tuple[Json, Json]:
        shape = self.sizes()
        learned = self.mask(shape)
        (log_prob,) = self.garbage(learned, self.log_probs(shape))
        return {}, {"log_prob": log_prob, "response_mask": learned}

    def kl(self) -> tuple[Json, Json]:
        log_prob = self.log_probs(self.sizes())
        reference = self.log_probs(log_prob.shape) if self.chance(0.2) else self.moved(log_prob)
        config = {"estimator": self.one_of("kl", "abs", "mse", "low_var_kl")}
        return config, {"log_prob": log_prob, "ref_log_prob": reference}

    def token_statistics(self) -> tuple[Json, Json]:
        rows, width = self.sizes()
        vocabulary = int(self.random.integers(1, 40))
        logits = self.random.normal(size=(rows, width, vocabulary)) * self.one_of(0.0, 1.0, 3.0, 20.0)
        logits += self.one_of(0.0, 0.0, -50.0, 30.0)
        return {}, {"logits": logits, "token_ids": self.random.integers(vocabulary, size=(rows, width))}

    def advantage(self) -> tuple[Json, Json]:
        estimator = self.one_of("grpo", "grpo_split", "reinforce", "reinforce_plus_plus")
        config = {"estimator": estimator, "normalise_by_std": self.chance(0.5)}
        groups = [int(self.one_of(1, 1, 2, 3, 4, 7, 8)) for _ in range(self.random.integers(1, 5))]
        members = [(f"p{index}", member) for index, size in enumerate(groups) for member in range(size)]
        if self.chance(0.7):
            self.random.shuffle(members)
        demonstrated = self.one_of(0, 1, 1, 2, 8)
        width, rows = int(self.random.integers(2, 9)), len(members)
        # Two tokens at least: the whitening of one is refused by the reference.
        lengths = self.random.integers(0 if self.chance(0.1) else 1, width + 1, rows)
        lengths[0] = max(lengths[0], 2)
        # A row is off-policy if one of its tokens is, so a row without tokens is not.
        on_policy = [member >= demonstrated or not length for (_, member), length in zip(members, lengths)]
        if estimator == "grpo_split":
            # A group without sampled rows is refused by the reference.
            sampled = {group for (group, _), own in zip(members, on_policy) if own}
            on_policy = [own or group not in sampled for (group, _), own in zip(members, on_policy)]
        values = self.one_of([0.0, 1.0], [0.0, 1.0], [-1.0, -0.5, 1.0], [1.0], [0.0], [-2.5, 0.25, 3.0])
        rewards = numpy.zeros((rows, width))
        # A row without tokens has its reward on the last column, as the reference's index -1 has it.
        rewards[numpy.arange(rows), lengths - 1] = self.random.choice(values, rows)
        mask = (numpy.arange(width) < lengths[:, None]).astype(float)
        groups_by_row = [group for group, _ in members]
        return config, {
            "token_rewards": rewards,
            "response_mask": mask,
            "group": groups_by_row,
            "on_policy": on_policy,
        }


def as_json(value: Any) -> Any:
    """Rounded to float32, so that both precisions read the same numbers."""
    if isinstance(value, numpy.ndarray):
        return (value.astype(numpy.float32).astype(float) if value.dtype == float else value).tolist()
    return value


# --- commands --------------------------------------------------------------------------------------------------


def make(out: pathlib.Path, seed: int, count: int, most_rows: int, most_tokens: int) -> None:
    # As often as in the shared file, but for the losses, whose configurations are the most.
    kinds = ["mixed_policy_loss"] * 5 + ["advantage"] * 3 + ["ppo_clip_loss"] * 2
    kinds += ["kl", "sft_loss", "token_statistics"]
    draw = Draw(seed, most_rows, most_tokens)
    with out.open("w") as file:
        for index in range(count):
            kind = kinds[index % len(kinds)]
            config, inputs = getattr(draw, kind)()
            inputs = {name: as_json(value) for name, value in inputs.items()}
            case = {"kind": kind, "id": f"{kind}-{seed}-{index}", "config": config, "inputs": inputs}
            case["expected"] = figures(kind, config, inputs)
            file.write(json.dumps(case, allow_nan=False) + "\n")


def differences(found: Any, wanted: Any, name: str) -> list[str]:
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted))
        return [line for index, (a, b) in pairs for line in differences(a, b, f"{name}[{index}]")]
    if found is None and wanted is None:
        return []
    numbers = isinstance(found, (int, float)) and isinstance(wanted, (int, float))
    if numbers and abs(found - wanted) <= CHECK_TOLERANCE * max(abs(wanted), 1e-3):
        return []
    return [f"{name}: {found} instead of {wanted}"]


def check(path: pathlib.Path) -> int:
    counts: dict[bool, Counter[str]] = defaultdict(Counter)
    for line in path.read_text().splitlines():
        case = json.loads(line)
        found = figures(case["kind"], case["config"], case["inputs"])
        wrong = [f"{name}: no such figure" for name in case["expected"].keys() ^ found.keys()]
        for name in case["expected"].keys() & found.keys():
            wrong += differences(found[name], case["expected"][name], name)
        counts[not wrong][case["kind"]] += 1
        for line in wrong:
            print(f"{case['id']} {line}")
    for kind in KINDS:
        print(f"{kind}: {counts[True][kind]} passed, {counts[False][kind]} failed")
    failed = counts[False].total()
    print(f"{counts[True].total()} passed, {failed} failed")
    return 1 if failed or not counts[True] else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    checking = commands.add_parser("check")
    checking.add_argument("file", type=pathlib.Path)
    making = commands.add_parser("make")
    making.add_argument("out", type=pathlib.Path)
    making.add_argument("--seed", type=int, required=True)
    making.add_argument("--count", type=int, default=1300)
    making.add_argument("--most-rows", type=int, default=8, help="of a loss, KL or token case")
    making.add_argument("--most-tokens", type=int, default=16, help="of a row there")
    args = parser.parse_args(arguments)
    if args.command == "check":
        return check(args.file)
    make(args.out, args.seed, args.count, args.most_rows, args.most_tokens)
    return 0


if __name__ == "__main__":
    sys.exit(main())
