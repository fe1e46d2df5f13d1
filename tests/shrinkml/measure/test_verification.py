import pytest
import torch

from shrinkml.errors import CheckpointError
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load, stored_parameters


def test_a_fresh_process_hears_the_same_with_the_core_alone(tiny_model_dir, tiny_data):
    audio = [utterance.audio for utterance in read_manifest(tiny_data["dev"])[:4]]
    model = load(tiny_model_dir)
    fresh = view_in_fresh_process(tiny_model_dir, audio, threads=torch.get_num_threads())
    waveforms = [read_audio(path, model.sample_rate_hz) for path in audio]
    assert fresh.transcripts == [model.transcribe([model.features(waveform)])[0] for waveform in waveforms]
    assert fresh.parameters == stored_parameters(tiny_model_dir)
    assert fresh.packages == ["shrinkml"]


def test_what_the_fresh_process_says_of_a_broken_checkpoint_is_passed_on(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be used by a fresh process: .*no model"):
        view_in_fresh_process(tmp_path / "nowhere", [], threads=1)


def test_a_fresh_process_that_takes_too_long_is_given_up(tmp_path):
    with pytest.raises(CheckpointError, match=r"could not use .* within 0.01 s"):
        view_in_fresh_process(tmp_path, [], threads=1, most_s=0.01)
