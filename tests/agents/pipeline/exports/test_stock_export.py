from agents.pipeline.exports.stock_export import write_stock
from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.storage.checkpoint import save

SHAPE = TransducerConfig(n_mels=80, hidden=16, look_ahead=8, decoder=16, embedding=8, joint=16, prediction="tied")


def test_the_final_checkpoint_is_written_beside_itself(spec, tmp_path):
    save(Transducer(SHAPE, Tokenizer.from_texts(["open the door"], "word")), tmp_path / FINAL)
    materials = Materials(tmp_path / FINAL, spec.data, seed=0, should_stop=lambda: False)
    write_stock(materials, tmp_path, "sherpa-onnx", int8=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FINAL, f"{FINAL}-sherpa-onnx"]
    assert (tmp_path / f"{FINAL}-sherpa-onnx" / "tokens.txt").is_file()
