"""int8 graphs: dynamic quantization by ONNX Runtime's own quantizer.

Weights are quantized per channel, once; activations per call. What `Storage.int8` stored as int8 already is left as it
is. Weights that multiply in int8 take 7 bits: x86 processors without VNNI add two products in 16 bits, which 8 bits
would overflow, and an export does not know where it will run.
"""

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from shrinkml.export.graph import AGAIN
from shrinkml.export.int8.tied_tables import share_int8_, tied_nodes
from shrinkml.weights.forms import LABELS

KINDS = ["MatMul", "LSTM", "Gather"]  # not the front end's convolution: quiet sounds lie far below its loudest


def write_int8(model: onnx.ModelProto, path: Path, kept: frozenset[str]) -> None:
    """Writes `model` to `path`, the products with all large constant matrices in int8 but those of layers in `kept`."""
    tied = tied_nodes(model.graph)
    add_pre_process_metadata(model)  # nothing is left to fold; the quantizer would advise it
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=KINDS,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*sorted(left_in_float(model.graph, kept)), *tied],
        extra_options={"EnableSubgraph": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    if tied:
        quantized = onnx.load(path)
        share_int8_(quantized.graph)
        onnx.save(quantized, path)


def left_in_float(graph: onnx.GraphProto, layers: frozenset[str]) -> set[str]:
    """Names of the products in `graph` with the matrices of `layers`, at every place where they are written."""
    names = {f"{layer}{part}" for layer in layers for part in LABELS}
    return {name for name in _names(graph) if name in names or name.partition(AGAIN)[0] in names}


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of all operators, those in bodies of loops too."""
    for node in graph.node:
        yield node.name
        for attribute in node.attribute:
            yield from _names(attribute.g)
