"""Products with the matrices of layers whose inputs are rounded, as graphs of integers have them.

A matrix is known by its numbers, so that a graph may be drawn or traced: its product becomes one of whole numbers, its
input is rounded, and the file holds a byte for each weight.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from torch import nn

from shrinkml.activations.places import quantizers, rounds
from shrinkml.compression.sites import find_sites
from shrinkml.export.few_bits.packed_products import insert_
from shrinkml.export.graph import Graph, Storage
from shrinkml.export.int8.tied_tables import drop_unread_
from shrinkml.export.integers.integer_product import ZERO, IntegerProduct
from shrinkml.export.integers.rounding_nodes import on_grid
from shrinkml.weights.integer_factors import integer_factors, rounded_by_rows

Products = Mapping[str, IntegerProduct]  # by the digest of the matrix, flat behind its first axis, and of it turned

PRODUCTS = ("MatMul", "Gemm", "Conv", "MatMulInteger", "MatMulNBits", "LSTM", "GRU")


def integer_products_of(module: nn.Module) -> dict[str, IntegerProduct]:
    """The products of the layers of `module` whose inputs are rounded."""
    known: dict[str, IntegerProduct] = {}
    for site in find_sites(module):
        if not rounds(site.module):
            continue
        grids = [quantizer.grid for _, quantizer in quantizers(site.module)]
        factors = [*zip(integer_factors(site.form), grids, strict=True)]
        # Traced graphs hold the last factor of an identity block without that.
        parts = (part for part in site.form.widened.parts if part.is_floating_point())
        for factor, grid in (*factors, *((rounded_by_rows(part), grids[-1]) for part in parts)):
            product = IntegerProduct(site.layer, factor, grid)
            for value in (product.wide, product.wide.T):
                known.setdefault(_digest(value), product)
    return known


def multiply_in_integers_(graph: onnx.GraphProto, storage: Storage) -> None:
    """Makes the products of `graph` that `storage` knows products of whole numbers."""
    if not storage.integers:  # spares hashing every matrix
        return
    writer = _Writer(graph, _known_matrices(graph, storage.integers))
    for node in list(graph.node):
        if node.op_type in ("MatMul", "Gemm", "Conv") and len(node.input) > 1:
            writer.write_(node)
    drop_unread_(graph)


def float_products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The products in `graph` of something that no whole numbers stand for."""
    whole = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return [node for node in graph.node if node.op_type in PRODUCTS and not {*node.input[:2]} <= whole]


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A matrix in a graph: its product, True where it stands there [in, out], and the shape of a kernel."""

    product: IntegerProduct
    turned: bool
    shape: tuple[int, ...]


@dataclass(slots=True)
class _Writer:
    """Writes products anew, each matrix and each rounded input once."""

    graph: onnx.GraphProto
    matrices: Mapping[str, _Matrix]
    weights: dict[tuple[str, bool], str] = field(default_factory=dict)
    inputs: dict[tuple[str, float, int], str] = field(default_factory=dict)

    def write_(self, node: onnx.NodeProto) -> None:
        """Makes `node` a product of whole numbers, if it multiplies with a matrix that is known."""
        matrix, is_kernel = self.matrices.get(node.input[1]), node.op_type == "Conv"
        if matrix is None or (not is_kernel and matrix.turned == _set(node, "transB")) or _set(node, "transA"):
            return
        place, out = list(self.graph.node).index(node), Graph(Storage(), f"{node.output[0]}.")
        x, weight = self._input(node.input[0], matrix, out), self._weight(matrix, out, is_kernel=is_kernel)
        if is_kernel:
            kept = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            value = out.op("Conv", x, weight, *node.input[2:], name=node.name, **kept)
        else:
            value = out.op("MatMul", x, weight, name=node.name)
            value = out.op("Add", value, node.input[2]) if len(node.input) > 2 else value
        self.graph.node.remove(node)
        insert_(self.graph, place, out, {value: node.output[0]})

    def _input(self, name: str, matrix: _Matrix, out: Graph) -> str:
        grid = matrix.product.grid
        key = name, float(grid.scale), int(grid.zero)
        if key not in self.inputs:
            self.inputs[key] = on_grid(out, name, grid)
        return self.inputs[key]

    def _weight(self, matrix: _Matrix, out: Graph, *, is_kernel: bool) -> str:
        """The matrix as its product takes it: [in, out], or a kernel [out, in, width]."""
        product = matrix.product
        key = _digest(product.wide), is_kernel
        if key not in self.weights:
            numbers = product.numbers.reshape(matrix.shape) if is_kernel else product.numbers.T
            zeros = np.full(len(product.scales), ZERO)
            parts = out.constant(numbers, "uint8"), out.constant(product.scales), out.constant(zeros, "uint8")
            self.weights[key] = out.op("DequantizeLinear", *parts, axis=0 if is_kernel else 1)
        return self.weights[key]


def _known_matrices(graph: onnx.GraphProto, products: Products) -> dict[str, _Matrix]:
    """Value -> the matrix of `products` that it is; a constant, or one that is turned around."""
    found: dict[str, _Matrix] = {}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) in (2, 3):
            value = numpy_helper.to_array(tensor)
            product = products.get(_digest(value))
            if product is not None:
                turned = not np.array_equal(value.reshape(len(value), -1), product.wide)
                found[tensor.name] = _Matrix(product, turned, value.shape)
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in found and len(found[node.input[0]].shape) == 2:
            before = found[node.input[0]]
            found[node.output[0]] = _Matrix(before.product, not before.turned, before.shape[::-1])
    return found


def _set(node: onnx.NodeProto, name: str) -> bool:
    return any(attribute.name == name and attribute.i for attribute in node.attribute)


def _digest(value: np.ndarray) -> str:
    flat = value.reshape(len(value), -1) + 0.0  # what is rounded to 0 from below is -0
    return hashlib.sha256(repr(flat.shape).encode() + flat.tobytes()).hexdigest()
