import pytest

from agents.pipeline.materials import Materials
from shrinkml.storage import checkpoint


@pytest.fixture(scope="module")
def spec(tiny_job):
    return tiny_job()


def test_checkpoints_store_weights_as_the_job_says(spec, tmp_path):
    n_bytes = {}
    for dtype in ("float16", "float32", "auto"):
        materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False, dtype=dtype)
        materials.save(materials.model, tmp_path / dtype)
        n_bytes[dtype] = checkpoint.inspect(tmp_path / dtype).stored_bytes
    assert n_bytes["float32"] == pytest.approx(2 * n_bytes["float16"], rel=0.1)
    assert n_bytes["auto"] == n_bytes[checkpoint.inspect(materials.original).dtype]


def test_calibration_without_a_training_set_uses_the_proxy_set(spec):
    data = spec.data.model_copy(update={"train": None})
    materials = Materials(spec.model, data, seed=0, should_stop=lambda: False)
    assert materials.calibration is materials.proxy
    assert len(materials.train) == 0


def test_a_part_of_the_training_set_is_a_seeded_choice(spec):
    data = spec.data.model_copy(update={"train_utterances": 5})
    chosen = [Materials(spec.model, data, seed=seed, should_stop=lambda: False).train.texts for seed in (0, 0, 1)]
    assert len(chosen[0]) == 5
    assert chosen[0] == chosen[1] != chosen[2]
