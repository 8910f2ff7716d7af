"""Does the jobs of speed_peers.py with PyTorch, transformers and TRL: a line of JSON in, a line of JSON out.

Jobs are read from standard input until it ends. Each answer has `seconds` of the work alone (loading, the making
of tensors from the job and a warm-up are outside) and `peak_gib`, the most memory the process has held so far;
a job that fails answers {"error": ...}. The model of a folder is kept until a job names another one.
One side works at a time, and threads of OpenMP that wait go to sleep within milliseconds.
"""

import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false")

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig, StaticCache, StoppingCriteria

GIB = 1 << 30
CLIP = 0.2
# gamma of f(w) = w / (w + gamma), LUFFY's weight of demonstrated tokens.
GAMMA = 0.1


class Lengths(StoppingCriteria):
    """Ends row i after lengths[i] new tokens, as an end token there would."""

    # With this attribute `generate` writes padding into rows that have ended, as it does after end tokens.
    eos_token_id = torch.tensor([0])

    def __init__(self, prompt, lengths):
        self.prompt, self.lengths = prompt, lengths

    def __call__(self, input_ids, scores, **kwargs):
        return self.lengths <= input_ids.shape[1] - self.prompt


class Held:
    """The model of a folder, and what is made of it when a job first needs it."""

    def __init__(self, folder, dtype, compiled):
        self.key = folder, dtype, compiled
        self.folder = folder
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="sdpa", local_files_only=True
        ).eval()
        self.forward = torch.compile(self.model) if compiled else self.model
        self.optimizer = None
        # The fixed cache of compiled decoding and what it was made for: a new one would be compiled for again.
        self.cache = None, None


def rollout(held, job):
    """Draws job["lengths"][i] tokens after prompt i // group; gives the number of tokens."""
    ids = torch.tensor([prompt for prompt in job["prompts"] for _ in range(job["group"])])
    lengths = torch.tensor(job["lengths"])
    torch.manual_seed(job["seed"])
    work = {"generate": generate, "loop": compiled_loop if job.get("compile") else loop}[job["backend"]]
    begin = time.perf_counter()
    tokens = work(held, ids, lengths)
    seconds = time.perf_counter() - begin
    assert tokens.shape == (len(ids), max(job["lengths"])), tokens.shape
    return seconds, {"tokens": sum(job["lengths"])}


def generate(held, ids, lengths):
    """As GRPOTrainer calls it; end tokens come from `lengths`, since random weights write none on purpose."""
    config = GenerationConfig(
        max_new_tokens=int(lengths.max()), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        pad_token_id=0, eos_token_id=None, bos_token_id=None,
    )
    with torch.no_grad():
        out = held.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config, disable_compile=True,
            stopping_criteria=[Lengths(ids.shape[1], lengths)],
        )
    return out[:, ids.shape[1] :]


@torch.inference_mode()
def loop(held, ids, lengths):
    """The least that a loop over transformers' cache needs."""
    cache = DynamicCache()
    longest = int(lengths.max())
    drawn = torch.zeros(len(ids), longest, dtype=torch.long)
    token = ids
    for at in range(longest):
        logits = held.model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        token = torch.multinomial(logits.float().softmax(-1), 1)
        drawn[:, at] = token[:, 0]
        if bool((lengths <= at + 1).all()):
            break
    return drawn


@torch.inference_mode()
def compiled_loop(held, ids, lengths):
    """The same with a cache of fixed size, which is what a compiled model needs."""
    longest = int(lengths.max())
    batch, prompt = ids.shape
    if held.cache[0] != (batch, prompt + longest):
        held.cache = (batch, prompt + longest), StaticCache(held.model.config, max_cache_len=prompt + longest)
    cache = held.cache[1]
    cache.reset()
    drawn = torch.zeros(batch, longest, dtype=torch.long)
    logits = held.model(
        ids, past_key_values=cache, cache_position=torch.arange(prompt), use_cache=True, logits_to_keep=1
    ).logits[:, -1]
    for at in range(longest):
        token = torch.multinomial(logits.float().softmax(-1), 1)
        drawn[:, at] = token[:, 0]
        if bool((lengths <= at + 1).all()):
            break
        logits = held.forward(
            token, past_key_values=cache, cache_position=torch.tensor([prompt + at]), use_cache=True
        ).logits[:, -1]
    return drawn


def selected_logprobs(logits, targets):
    """log_softmax at `targets` without keeping it for the whole vocabulary, as TRL does it."""
    if logits.dtype == torch.float32:
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        return chosen - torch.stack([row.logsumexp(-1) for row in logits])
    return torch.stack([
        row.log_softmax(-1).gather(-1, target[:, None])[:, 0] for row, target in zip(logits, targets)
    ])


def response_logprobs(held, ids, n_response):
    """[B, T] of the last T tokens; the head sees no other position."""
    logits = held.forward(ids, use_cache=False, logits_to_keep=n_response + 1).logits[:, :-1]
    return selected_logprobs(logits, ids[:, -n_response:])


def rows_of(job):
    ids = torch.tensor([row["prompt"] + row["response"] for row in job["rows"]])
    return ids, len(job["rows"][0]["response"])


def score(held, job):
    ids, n_response = rows_of(job)
    begin = time.perf_counter()
    with torch.inference_mode():
        logprobs = response_logprobs(held, ids, n_response)
    seconds = time.perf_counter() - begin
    return seconds, {"tokens": logprobs.numel(), "mean_logprob": float(logprobs.mean())}


def update(held, job):
    """LUFFY's loss, backward, clip, AdamW."""
    ids, n_response = rows_of(job)
    behavior = torch.tensor([row["behavior"] for row in job["rows"]])
    advantages = torch.tensor([row["advantage"] for row in job["rows"]])[:, None]
    demonstrated = torch.tensor([row["demonstrated"] for row in job["rows"]])[:, None]
    held.model.train()
    if held.optimizer is None:
        held.optimizer = torch.optim.AdamW(held.model.parameters(), lr=1e-6, weight_decay=0.01)
    begin = time.perf_counter()
    logprobs = response_logprobs(held, ids, n_response)
    ratio = (logprobs - behavior).exp()
    clipped = torch.min(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages)
    shaped = ratio / (ratio + GAMMA) * advantages
    loss = -torch.where(demonstrated, shaped, clipped).sum() / ratio.numel()
    held.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(held.model.parameters(), 1.0)
    held.optimizer.step()
    seconds = time.perf_counter() - begin
    # Without gradients it is smaller for the jobs that follow.
    held.model.eval()
    return seconds, {"tokens": ratio.numel(), "loss": loss.item(), "grad_norm": norm.item()}


def parity_of_text(completions, **kwargs):
    """1 where the sum of the code points is even."""
    return [float(sum(map(ord, text)) % 2 == 0) for text in completions]


def step(held, job):
    """Steps of GRPOTrainer after the first; gives the seconds of each."""
    import datasets
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            marks.append(time.perf_counter())

        def on_step_end(self, args, state, control, **kwargs):
            marks.append(time.perf_counter())

    tokenizer = AutoTokenizer.from_pretrained(held.folder, local_files_only=True)
    prompts = [tokenizer.decode(prompt).replace(" ", "") for prompt in job["prompts"]]
    found = tokenizer(prompts, add_special_tokens=False).input_ids
    assert found == job["prompts"], "the tokenizer reads its own text otherwise"
    rows = len(prompts) * job["group"]
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False,
            per_device_train_batch_size=rows, num_generations=job["group"], gradient_accumulation_steps=1,
            max_completion_length=job["new_tokens"], max_steps=job["steps"] + 1, num_iterations=1, beta=0.0,
            loss_type="dr_grpo", scale_rewards="none", temperature=1.0, top_p=1.0, top_k=0, learning_rate=1e-6,
            weight_decay=0.01, max_grad_norm=1.0, lr_scheduler_type="constant", shuffle_dataset=False,
            logging_strategy="no", save_strategy="no", report_to="none", disable_tqdm=True, seed=job["seed"] + 1,
        )
        # The tokenizer's end token is outside of the model's vocabulary: no row ends before the limit, on either side.
        data = datasets.Dataset.from_dict({"prompt": prompts})
        with contextlib.redirect_stdout(sys.stderr):
            trainer = GRPOTrainer(
                model=held.model, args=config, train_dataset=data, processing_class=tokenizer,
                reward_funcs=parity_of_text, callbacks=[Clock()],
            )
            trainer.train()
    # From the end of one step to the end of the next: the rollout precedes `on_step_begin`'s forward, not it.
    ends = marks[1::2]
    seconds = [after - before for before, after in zip(ends, ends[1:])]
    held.model.eval()
    return seconds[0], {"tokens": rows * job["new_tokens"], "each": seconds}


def gemm(held, job):
    n = job["size"]
    a, b = torch.rand(n, n), torch.rand(n, n)
    torch.mm(a, b)
    begin = time.perf_counter()
    for _ in range(job["times"]):
        torch.mm(a, b)
    seconds = (time.perf_counter() - begin) / job["times"]
    return seconds, {"gflops": 2 * n**3 / seconds / 1e9}


def bandwidth(held, job):
    """Reads one large array and writes another."""
    n = job["mib"] << 18
    a, b = torch.rand(n), torch.zeros(n)
    begin = time.perf_counter()
    for _ in range(job["times"]):
        b.copy_(a)
    seconds = (time.perf_counter() - begin) / job["times"]
    return seconds, {"gib_per_second": 8 * n / seconds / GIB}


def facts(held, job):
    said = {"torch": torch.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]}
    if job.get("trl"):
        import trl

        said["trl"] = trl.__version__
    return 0.0, said


JOBS = {
    job.__name__: job for job in (rollout, score, update, step, gemm, bandwidth, facts)
}


def peak_gib():
    """Most memory the process has held so far; None where the system does not say."""
    status = pathlib.Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / GIB if found else None


def answer(job, held):
    """What the job comes to, and the model that is held afterwards."""
    torch.set_num_threads(job["threads"])
    if "model" in job:
        key = job["model"], job.get("dtype", "float32"), job.get("compile", False)
        if held is None or held.key != key:
            held = None
            held = Held(*key)
    seconds, said = JOBS[job["job"]](held, job)
    return {"seconds": seconds, "peak_gib": peak_gib(), **said}, held


def main():
    # Whatever a library prints goes elsewhere: standard output is the answers'.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    held = None
    for line in sys.stdin:
        try:
            said, held = answer(json.loads(line), held)
        except Exception as error:  # A job that cannot be done is a finding; the next one may go.
            said = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
