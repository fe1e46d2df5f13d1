import pytest

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.models.huggingface.onnx.whisper_networks import CROSS_NETWORK, DECODER, ENCODER, check_whisper, shape_of


def test_the_networks_are_called_by_what_they_take_and_give(networks, lettered):
    shape = shape_of(lettered)
    assert shape.head_dims * shape.heads == shape.dims
    taken = {name: [value.name for value in graph.input] for name, graph in networks.items()}
    assert taken[ENCODER] == ["values"]
    assert taken[CROSS_NETWORK] == ["hidden"]
    assert taken[DECODER] == ["tokens", "past.0", "past.1", "cross.0", "cross.1"]
    assert [value.name for value in networks[DECODER].output] == ["logits", "next.0", "next.1"]


def test_other_networks_and_other_features_are_refused(stock_dir):
    with pytest.raises(ExportError, match="a moonshine network; the layout of a toy is for a Whisper"):
        check_whisper(shrinkml.load(stock_dir("moonshine")), "a toy")
    with pytest.raises(ExportError, match="of this Whisper have sampling_rate 16000, n_fft 640, hop_length 320; a toy"):
        check_whisper(shrinkml.load("reference/whisper"), "a toy")
