"""A small real cross-encoder, laid where fastembed keeps a model that it has downloaded.

It is a graph of ONNX with the tokenizer of the bundled embedding model: the score of a passage is the share of
the question's word pieces that it holds. A passage with the word `TIRING` keeps it busy for minutes, one with the word
`BROKEN` has a score that is no number.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from recallr_litellm.stores.embedding.bundled import DATA

MODEL = "Xenova/ms-marco-MiniLM-L-6-v2"
"""Under whose name it is laid."""
TIRING, BROKEN = "glacier", "volcano"

_REVISION = "0" * 40
_FIRST_WORD = 999
"""Smaller ids are those of special tokens."""
_SIDE, _ROUNDS = 256, 1_000_000


def lay(cache: Path) -> None:
    """Put it into a folder that `FASTEMBED_CACHE_PATH` may name, or `models` of a data folder."""
    repository = cache / f"models--{MODEL.replace('/', '--')}"
    snapshot = repository / "snapshots" / _REVISION
    (snapshot / "onnx").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(_REVISION)
    onnx.save(_model(), str(snapshot / "onnx" / "model.onnx"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / name, snapshot / name)
    (snapshot / "config.json").write_text(json.dumps({"pad_token_id": 0}))


def _model() -> onnx.ModelProto:
    constants: dict[str, NDArray[Any]] = {
        "first_word": np.array(_FIRST_WORD, np.int64),
        "one": np.array(1, np.int64),
        "no": np.array(0.0, np.float32),
        "a": np.array(1.0, np.float32),
        "rows": np.array([1], np.int64),
        "columns": np.array([2], np.int64),
        "tiring": np.array(_id(TIRING), np.int64),
        "broken": np.array(_id(BROKEN), np.int64),
        "rounds": np.array(_ROUNDS, np.int64),
        "start": np.full((_SIDE, _SIDE), 1 / _SIDE, np.float32),
        "true": np.array(True),
        "ten": np.array(10.0, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Greater", ["input_ids", "first_word"], ["is_word"]),
        node("Equal", ["token_type_ids", "one"], ["second"]),
        node("Not", ["second"], ["first"]),
        node("And", ["is_word", "first"], ["asked"]),
        node("And", ["is_word", "second"], ["said"]),
        # [pairs, asked, said]: the same word piece on both sides
        node("Unsqueeze", ["input_ids", "columns"], ["as_rows"]),
        node("Unsqueeze", ["input_ids", "rows"], ["as_columns"]),
        node("Equal", ["as_rows", "as_columns"], ["same"]),
        node("Unsqueeze", ["asked", "columns"], ["asked_rows"]),
        node("Unsqueeze", ["said", "rows"], ["said_columns"]),
        node("And", ["same", "asked_rows"], ["same_asked"]),
        node("And", ["same_asked", "said_columns"], ["met"]),
        node("Cast", ["met"], ["meetings"], to=TensorProto.FLOAT),
        node("ReduceMax", ["meetings", "columns"], ["held"], keepdims=0),
        node("ReduceSum", ["held", "rows"], ["count_held"], keepdims=1),
        node("Cast", ["asked"], ["asked_numbers"], to=TensorProto.FLOAT),
        node("ReduceSum", ["asked_numbers", "rows"], ["count_asked"], keepdims=1),
        node("Max", ["count_asked", "a"], ["at_least_one"]),
        node("Div", ["count_held", "at_least_one"], ["share"]),
        node("Mul", ["share", "ten"], ["score"]),
        # so many rounds of a product of matrices for the tiring word, none without it
        node("Equal", ["input_ids", "tiring"], ["tires"]),
        node("Cast", ["tires"], ["tires_numbers"], to=TensorProto.INT64),
        node("ReduceMax", ["tires_numbers"], ["tired"], keepdims=0),
        node("Mul", ["tired", "rounds"], ["trips"]),
        node("Loop", ["trips", "true", "start"], ["end"], body=_round()),
        node("ReduceSum", ["end"], ["sum"], keepdims=0),
        node("Mul", ["sum", "no"], ["nothing"]),
        node("Add", ["score", "nothing"], ["rested"]),
        # 0 / 0 for the broken word
        node("Equal", ["input_ids", "broken"], ["breaks"]),
        node("Cast", ["breaks"], ["breaks_numbers"], to=TensorProto.FLOAT),
        node("ReduceMax", ["breaks_numbers", "rows"], ["is_broken"], keepdims=1),
        node("Sub", ["a", "is_broken"], ["whole"]),
        node("Div", ["whole", "whole"], ["one_or_none"]),
        node("Mul", ["rested", "one_or_none"], ["logits"]),
    ]
    pairs = ["pairs", "tokens"]
    graph = helper.make_graph(
        nodes,
        "share of the words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, pairs)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _round() -> onnx.GraphProto:
    square = [_SIDE, _SIDE]
    return helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("MatMul", ["before", "before"], ["after"]),
        ],
        "a round",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, square),
        ],
    )


def _id(word: str) -> int:
    identifier = Tokenizer.from_file(str(DATA / "tokenizer.json")).token_to_id(word)
    assert identifier is not None, f"{word} is not one word piece"
    return int(identifier)
