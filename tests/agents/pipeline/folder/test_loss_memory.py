from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.folder.loss_memory import LossMemory
from agents.pipeline.materials import Materials


def test_losses_are_found_by_the_same_model_factors_and_speech_alone(spec, half, tmp_path):
    cache = LastingCache(tmp_path / "facts.sqlite")
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False, cache=cache)
    original = LossMemory.of(materials, 8, start=materials.original, factorizer="pca")
    original.keep({"plan": 0.5})
    again = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False, cache=cache)
    assert LossMemory.of(again, 8, start=again.original, factorizer="pca").find(["plan", "other"]) == {"plan": 0.5}
    others = [
        LossMemory.of(again, 16, start=again.original, factorizer="pca"),
        LossMemory.of(again, 8, start=again.original, factorizer="svd"),
        LossMemory.of(again, 8, start=half, factorizer="pca"),
    ]
    assert [other.find(["plan"]) for other in others] == [{}, {}, {}]
