import weakref

import pytest
import torch

from agents.search import decompose_layers
from agents.search.decompose_layers import decomposed, layer_use
from agents.search.workspace import StoredDecompositions, write_factors
from shrinkml.compression import disk_room
from shrinkml.compression.calibration import calibrate
from shrinkml.compression.disk_room import DiskRoom
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import CalibrationError
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load
from shrinkml.training.dataset import load_dataset

PARTS = ("up", "down", "singular_values", "means")


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(tiny_model_dir)


@pytest.fixture(scope="module")
def speech(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"])[:6])


def statistics(model, speech):
    """The oracle: of all layers, in one run."""
    longest_first = speech.subset(next(speech.batches(len(speech))))
    return calibrate(model.module, lambda: model.teacher_forced(longest_first.features, longest_first.texts))


@pytest.fixture
def grams(monkeypatch):
    """Bytes of each gram matrix that went to the disk, and of all that then were in memory."""
    monkeypatch.setattr(disk_room, "LARGE_BYTES", 1)
    kept, in_memory, keep = [], [], DiskRoom.keep

    def watched(room, tensor):
        kept.append(weakref.ref(tensor))
        in_memory.append(sum(held.nbytes for one in kept if (held := one()) is not None))
        return keep(room, tensor)

    monkeypatch.setattr(DiskRoom, "keep", watched)
    return in_memory


@pytest.mark.parametrize("factorizer", FACTORIZERS)
def test_layers_are_decomposed_by_the_statistics_of_one_pass(model, speech, factorizer, tmp_path):
    expected = decompose(model, factorizer, statistics(model, speech))
    found = dict(decomposed(model, speech, factorizer, tmp_path))
    assert list(found) == list(expected)
    for name, one in expected.items():
        assert all(torch.equal(getattr(found[name], part), getattr(one, part)) for part in PARTS)


def test_no_more_than_one_gram_matrix_is_held_in_memory(model, speech, grams, tmp_path):
    sizes = [4 * layer.in_features**2 for layer in find_layers(model)]
    assert sum(sizes) > 3 * max(sizes)
    for _ in decomposed(model, speech, "whitened", tmp_path):
        pass
    assert len(grams) >= len({*sizes})
    assert max(grams) == max(sizes)


def test_plain_svd_takes_no_statistics(model, speech, grams):
    assert dict(decomposed(model, speech, "svd"))
    assert not grams


def test_factors_go_to_the_disk_one_by_one(model, speech, tmp_path):
    seen = []

    def watched():
        for name, found in decomposed(model, speech, "svd"):
            assert not any(up() is not None for up in seen)
            seen.append(weakref.ref(found.up))
            yield name, found
            del found

    write_factors(tmp_path, watched())
    assert list(StoredDecompositions(tmp_path)) == list(decompose(model, "svd"))
    assert len(list(tmp_path.iterdir())) == len(seen) == len(find_layers(model))


def test_use_does_not_depend_on_how_much_is_fed_at_a_time(model, speech, monkeypatch):
    calls = {name: use.n_frames for name, use in layer_use(model, speech).items()}
    encoder = [name for name in calls if name.startswith("encoder")]
    monkeypatch.setattr(decompose_layers, "ACTIVATION_BYTES", 1)
    assert encoder
    assert all(layer_use(model, speech)[name].n_frames == calls[name] for name in encoder)


def test_wide_models_are_fed_few_utterances_at_a_time(model, speech, monkeypatch):
    fed = []
    teacher_forced = model.teacher_forced
    monkeypatch.setattr(model, "teacher_forced", lambda f, t: fed.append(len(f)) or teacher_forced(f, t))
    layer_use(model, speech)
    assert fed == [1, 6]
    fed.clear()
    monkeypatch.setattr(decompose_layers, "ACTIVATION_BYTES", 1)
    layer_use(model, speech)
    assert fed == [1] * 7


@pytest.mark.parametrize("factorizer", FACTORIZERS)
def test_speech_that_does_not_reach_the_layers_is_refused(model, speech, factorizer, monkeypatch):
    monkeypatch.setattr(model, "teacher_forced", lambda *_: None)
    with pytest.raises(CalibrationError, match="reached no factorizable layer"):
        list(decomposed(model, speech, factorizer))
