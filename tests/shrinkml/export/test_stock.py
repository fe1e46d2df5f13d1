import pytest

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.export.stock import check_layout, export
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.storage.checkpoint import save


def test_a_checkpoint_is_written_in_a_layout_and_what_lies_there_replaced(tmp_path):
    shape = TransducerConfig(hidden=8, look_ahead=4, joint=8, prediction="tied")
    save(Transducer(shape, Tokenizer.from_texts(["on off"], "word")).eval(), tmp_path / "tiny")
    assert export(tmp_path / "tiny", tmp_path / "out", "sherpa-onnx", int8=True) == frozenset()
    export(tmp_path / "tiny", tmp_path / "out", "sherpa-onnx")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".shrinkml",
        "decoder.onnx",
        "encoder.onnx",
        "encoder-streaming.onnx",
        "joiner.onnx",
        "tokens.txt",
    }


def test_a_family_without_layouts_is_refused_before_anything_is_drawn():
    for name, family in (("reference/las", "las"), ("reference/ctc", "huggingface")):
        with pytest.raises(ExportError, match=rf"of family '{family}' has no layout 'optimum'; layouts, .*sherpa-onnx"):
            check_layout(shrinkml.load(name), "optimum")
