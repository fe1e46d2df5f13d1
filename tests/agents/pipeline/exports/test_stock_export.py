import shrinkml
from agents.pipeline.exports.stock_export import write_stock
from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from shrinkml.storage.checkpoint import save


def test_the_final_checkpoint_is_written_beside_itself(spec, stock_dir, tmp_path):
    save(shrinkml.load(stock_dir("whisper")), tmp_path / FINAL)
    materials = Materials(tmp_path / FINAL, spec.data, seed=0, should_stop=lambda: False)
    write_stock(materials, tmp_path, "optimum", int8=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FINAL, f"{FINAL}-optimum"]
    assert (tmp_path / f"{FINAL}-optimum" / "onnx" / "encoder_model.onnx").is_file()
