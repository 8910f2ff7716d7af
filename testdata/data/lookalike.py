"""Makes lookalike.parquet: invented rows in the schema of LUFFY's training files. Needs pyarrow.

Struct fields are in alphabetical order and `__index_level_0__` is there, as pandas writes them; probabilities
are doubles, as Python's floats become; there are three row groups, null and empty targets, and a NaN.
"""

import pyarrow as pa
import pyarrow.parquet as pq

message = pa.struct([("content", pa.string()), ("role", pa.string())])
schema = pa.schema([
    ("data_source", pa.string()),
    ("prompt", pa.list_(message)),
    ("target", pa.list_(message)),
    ("ability", pa.string()),
    ("reward_model", pa.struct([("ground_truth", pa.string()), ("style", pa.string())])),
    ("extra_info", pa.struct([("index", pa.int64()), ("split", pa.string())])),
    ("target_lst", pa.list_(pa.string())),
    ("target_ds_qwen_7b_probs", pa.list_(pa.float64())),
    ("weight", pa.float32()),
    ("__index_level_0__", pa.int64()),
])


def row(i, gold, target, more, probs):
    return {
        "data_source": "",
        "prompt": [
            {"content": "Think first.", "role": "system"},
            {"content": f"How much is {i} and {i}?", "role": "user"},
        ],
        "target": target if target is None else [{"content": t, "role": "assistant"} for t in target],
        "ability": "math",
        "reward_model": {"ground_truth": gold, "style": "rule"},
        "extra_info": {"index": 100 + i, "split": "default"},
        "target_lst": more,
        "target_ds_qwen_7b_probs": probs,
        "weight": float("nan") if i == 3 else 0.5,
        "__index_level_0__": 7 * i,
    }


rows = [
    row(0, "0", ["<think>\nnothing</think>\\boxed{0}"], None, [0.5, 0.25, 1.0]),
    row(1, "$2$,$3$", None, None, None),
    row(2, "4.0", ["<think>\nfour ∑ 你好</think>4"], ["<think>\nfour ∑ 你好</think>4", "two twos"], None),
    row(3, "6", [], [], []),
    row(2, "4.0", ["again"], ["a", "b", "c", "d", "e", "f"], None),
]
table = pa.Table.from_pylist(rows, schema=schema)
pq.write_table(table, "lookalike.parquet", compression="snappy", row_group_size=2)
