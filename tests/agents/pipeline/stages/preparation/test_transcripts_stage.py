"""The tiny job, taught by its references or by what the tiny recogniser writes itself."""

import pytest

from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Work
from agents.pipeline.stage import Teller
from agents.pipeline.stages.preparation.transcripts_stage import choose_transcripts
from shrinkml.events import Progress


@pytest.fixture
def told():
    return []


def chosen(spec, told, cache=None, **data):
    materials = Materials(spec.model, spec.data.model_copy(update=data), seed=0, should_stop=lambda: False, cache=cache)
    teller = Teller("transcripts", lambda n, of: Progress(n / of, 0, 0, None), told.append, told.append)
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
    work, *events = told
    assert work == Work(transcribed=48)
    assert [(event.data["n"], event.progress.fraction) for event in events] == [(32, pytest.approx(2 / 3)), (48, 1.0)]
    assert transcripts.heard == 48


def test_what_an_earlier_job_heard_is_no_work(spec, told, tmp_path):
    cache = LastingCache(tmp_path / "facts.sqlite")
    _, first = chosen(spec, told, teach="own", cache=cache)
    told.clear()
    _, again = chosen(spec, told, teach="own", cache=cache)
    assert 0 < first.heard < 48  # those that were compared with their references are known
    assert again.heard == 0
    assert told == [Work()]
