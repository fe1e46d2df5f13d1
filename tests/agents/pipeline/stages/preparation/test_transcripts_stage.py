"""The tiny job, taught by its references or by what the tiny recogniser writes itself."""

import pytest

from agents.pipeline.materials import Materials
from agents.pipeline.stage import Teller
from agents.pipeline.stages.preparation.transcripts_stage import choose_transcripts
from shrinkml.events import Progress


@pytest.fixture
def told():
    return []


def chosen(spec, told, **data):
    materials = Materials(spec.model, spec.data.model_copy(update=data), seed=0, should_stop=lambda: False)
    teller = Teller("transcripts", lambda n, of: Progress(n / of, 0, 0, None), told.append)
    return materials, choose_transcripts(materials, teller)


def test_a_model_that_writes_as_its_references_do_learns_from_them(spec, told):
    materials, transcripts = chosen(spec, told)
    assert (transcripts.source, transcripts.left_out) == ("references", 0)
    assert transcripts.taught == len(materials.training)
    assert transcripts.own_loss > 0
    assert told == []


def test_a_job_may_ask_for_the_models_own_and_is_told_how_far_it_is(spec, told):
    materials, transcripts = chosen(spec, told, teach="own")
    assert transcripts.source == "own"
    assert transcripts.taught + transcripts.left_out == len(materials.training)
    assert set(materials.train.texts) <= set(materials.transcribed(materials.training, materials.train))
    assert [event.data["n"] for event in told] == [32, 48]
    assert len({event.key for event in told}) == len(told)
