"""int8 graphs: dynamic quantization by ONNX Runtime's own quantizer, and which layers are too sensitive for it.

Weights are quantized per channel, once; activations per call. What `Storage.int8` stored as int8 already is left as it
is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

KINDS = ["MatMul", "LSTM", "Gather"]  # not the front end's convolution: quiet sounds lie far below its loudest
MOST_DIVERGENCE = 1e-3  # nats per token that one layer in int8 may move the posteriors; 30 times what was measured


def write_int8(model: onnx.ModelProto, path: Path, kept: frozenset[str]) -> None:
    """Writes `model` to `path`, the products with all large constant matrices in int8 but those of layers in `kept`."""
    add_pre_process_metadata(model)  # nothing is left to fold; the quantizer would advise it
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=KINDS,
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[f"{layer}{part}" for layer in kept for part in ("", ".down", ".up")],
        extra_options={"EnableSubgraph": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def divergence(reference: np.ndarray, logits: np.ndarray, lengths: Sequence[int]) -> float:
    """Mean Kullback-Leibler divergence, in nats per token, of `logits` from `reference` [batch, steps, vocabulary].

    Of each row the first `lengths` steps count.
    """
    before, after = _log_softmax(reference), _log_softmax(logits)
    per_step = (np.exp(before) * (before - after)).sum(-1)
    inside = np.arange(per_step.shape[1]) < np.asarray(lengths)[:, None]
    return float(per_step[inside].mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = logits.astype(np.float64)  # in single precision, rounding would drown small divergences
    shifted -= shifted.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
