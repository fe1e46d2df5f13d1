"""ONNX graphs written operator by operator, so that batch and time stay free: tracing would freeze some of them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shrinkml.errors import ExportError
from shrinkml.export.few_bits.packed_rows import PackedRows
from shrinkml.export.integers.integer_product import IntegerProduct
from shrinkml.export.recipe import DECODER

OPSET = 18  # ONNX Runtime reads it since 1.14 (2023)
IR_VERSION = 8
DTYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}

THIN = 65_536  # weights; a vector times a smaller matrix is faster in float32 than in int8 (benchmarks/export.py)
AGAIN = "@"  # behind the name of an operator that is written again: ONNX Runtime's quantizer takes one for the other
FRONT = "front."  # prefix of what a feature extractor becomes: its constants were not learnt and are not rounded
MOST_BYTES = 2**31 - 2**20  # of a protobuf message, with something to spare for what surrounds the graph

Axes = Sequence[int | str | None]  # a size, or the name of one that is only known when the graph runs


@dataclass(frozen=True, slots=True)
class Storage:
    """The form of weights in the file. Whatever is narrower than float32 is widened once, when the runtime loads it.

    Attributes:
        half: weights that float16 holds exactly are stored so.
        int8: matrices of less than THIN weights are stored as int8 with a scale for each index of their shorter
            side. Larger ones stay float32, for ONNX Runtime's quantizer, which makes their products int8 as well.
        kept: layers that `int8` leaves alone.
        few_bits: matrices that are stored in few bits, by the digests of what they are widened to.
        integers: matrices whose products are of whole numbers, by digests of theirs.
        one_vector: True for a graph whose large matrices multiply few vectors at a time, as in the steps of a decoder.
    """

    half: bool = False
    int8: bool = False
    kept: frozenset[str] = frozenset()
    few_bits: Mapping[str, PackedRows] = field(default_factory=dict)
    integers: Mapping[str, IntegerProduct] = field(default_factory=dict)
    one_vector: bool = False

    def of(self, part: str) -> "Storage":
        """That of the graph `part` of a recogniser: a decoder takes its steps one by one."""
        return replace(self, one_vector=part == DECODER)


class Graph:
    """A graph that grows by one operator per call; values go by their names.

    A layer that is written at several places keeps its weights once; its operators are numbered from the second on.

    Args:
        storage: of its weights.
        prefix: of the names that it makes up, so that a body's never hide its owner's.
    """

    def __init__(self, storage: Storage, prefix: str = "") -> None:
        self.storage = storage
        self._prefix = prefix
        self._count = 0
        self._uses: Counter[str] = Counter()  # of the names of operators
        self._weights: dict[bytes, str] = {}  # digest of a matrix and its layer -> value
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Axes | None, dtype: str = "float32") -> str:
        """An input of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], shape))
        return name

    def output(self, value: str, name: str, shape: Axes | None, dtype: str = "float32") -> None:
        """Gives `value` out as `name`."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], shape))

    def constant(self, value: Any, dtype: str = "float32") -> str:
        """A tensor that never changes."""
        name = self._fresh("c")
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype, order="C"), name))
        return name

    def weight(self, value: np.ndarray, layer: str = "", *, quantizable: bool = True) -> str:
        """A tensor that was learnt, stored as `Storage` says; a matrix names its `layer`.

        What is not `quantizable`, no operand that ONNX Runtime's quantizer looks for, counts as thin.
        """
        if not layer:
            return self._stored(value, layer, quantizable=quantizable)
        key = hashlib.sha256(repr((layer, value.shape, quantizable)).encode() + value.tobytes()).digest()
        if key not in self._weights:
            self._weights[key] = self._stored(value, layer, quantizable=quantizable)
        return self._weights[key]

    def _stored(self, value: np.ndarray, layer: str, *, quantizable: bool) -> str:
        to_int8 = self.storage.int8 and bool(layer) and layer not in self.storage.kept
        if to_int8 and value.ndim == 2 and (value.size < THIN or not quantizable):
            return self._scaled(value)
        narrow = half_of(value) if self.storage.half and not to_int8 else None
        if narrow is None:
            return self.constant(value)
        return self.op("Cast", self.constant(narrow, "float16"), to=TensorProto.FLOAT)

    def _scaled(self, matrix: np.ndarray) -> str:
        integers, scale = int8_of(matrix)
        return self.op(
            "Mul", self.op("Cast", self.constant(integers, "int8"), to=TensorProto.FLOAT), self.constant(scale)
        )

    def ints(self, *values: int) -> str:
        """The constant [values], int64: shapes and axes are told so."""
        return self.constant(values, "int64")

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The only (or first) output of a new operator."""
        return self.ops(kind, *inputs, n=1, name=name, **attributes)[0]

    def ops(self, kind: str, *inputs: str, n: int, name: str = "", **attributes: Any) -> list[str]:
        """The `n` outputs of a new operator; one that has the `name` of another is numbered."""
        outputs = [self._fresh(kind) for _ in range(n)]
        self._uses[name] += bool(name)
        if self._uses[name] > 1:
            name = f"{name}{AGAIN}{self._uses[name]}"
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))
        return outputs

    def size(self, value: str, axis: int) -> str:
        """The length of `value` along `axis`: int64 [1]."""
        return self.op("Shape", value, start=axis, end=axis + 1)

    def count(self, n: str) -> str:
        """0, 1, ... up to `n` [1]."""
        return self.op("Range", self.constant(0, "int64"), self.op("Squeeze", n), self.constant(1, "int64"))

    def body(self) -> onnx.GraphProto:
        """All that is written so far, as the body of an operator or of a model."""
        name = self._prefix or "graph"
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)

    def model(self) -> onnx.ModelProto:
        """All that is written so far, as a model that was checked."""
        return as_model(self.body())

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}{kind}.{self._count}"


def as_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    """The model that consists of `graph`, checked.

    Raises:
        ExportError: it is too large for one file.
    """
    if graph.ByteSize() > MOST_BYTES:
        raise ExportError(
            f"a graph of {graph.ByteSize():,} bytes; an ONNX file holds at most {MOST_BYTES:,}: compress it further, "
            "store the checkpoint in half precision"
        )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, producer_name="shrinkml", opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def half_of(value: np.ndarray) -> np.ndarray | None:
    """`value` as float16; None where that would change it."""
    with np.errstate(over="ignore"):
        narrow = value.astype(np.float16)
    return narrow if np.array_equal(narrow, value) else None


def int8_of(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`weight` as int8 and its float32 scales; their product is the weight, rounded.

    A matrix has a scale for each index of its shorter side, a kernel [out, in, ...] for each output.
    """
    axes = int(np.argmax(weight.shape)) if weight.ndim == 2 else tuple(range(1, weight.ndim))
    scale = np.abs(weight).max(axis=axes, keepdims=True) / 127
    return np.rint(weight / np.where(scale > 0, scale, 1)).astype(np.int8), scale.astype(np.float32)
