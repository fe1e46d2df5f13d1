import pytest

from agents.pipeline.stages.conclusion import verify_stage
from agents.pipeline.stages.conclusion.verify_stage import verify
from shrinkml.errors import CheckpointError
from shrinkml.measure.verification import FreshView, view_in_fresh_process
from shrinkml.storage import checkpoint


def test_a_sound_checkpoint_is_verified(materials, half, monkeypatch):
    monkeypatch.setattr(verify_stage, "view_in_fresh_process", view_in_fresh_process)
    assert verify(materials, half).parameters == checkpoint.stored_parameters(half)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transcripts": ["open sesame"]}, "a fresh process hears"),
        ({"parameters": 1}, "holds 1 parameters; its plan says"),
        ({"packages": ["agents", "shrinkml"]}, "needed agents, shrinkml; the core must do"),
    ],
)
def test_a_fresh_process_that_finds_something_else_fails_the_job(materials, half, monkeypatch, change, message):
    def other_view(model, audio, *, threads):
        loaded = checkpoint.load(model)
        heard = [loaded.transcribe([features])[0] for features in materials.dev.features[: len(audio)]]
        sound = {"transcripts": heard, "parameters": checkpoint.stored_parameters(model), "packages": ["shrinkml"]}
        return FreshView(**(sound | change))

    monkeypatch.setattr(verify_stage, "view_in_fresh_process", other_view)
    with pytest.raises(CheckpointError, match=message):
        verify(materials, half)
