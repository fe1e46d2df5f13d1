import pytest

from agents.pipeline.vocabulary.vocabulary_sizes import sizes_to_try, texts_of
from shrinkml.errors import ConfigError
from shrinkml.models.trimmed import least_vocabulary, vocabulary_size
from shrinkml.speech.manifest import read_manifest


def test_words_of_train_stay_whole_and_those_that_judge_it_are_not_asked_for(whisper_materials, whisper_job):
    spec = whisper_job()
    texts = [u.text for u in read_manifest(whisper_materials.manifests["train"])]
    assert texts_of(whisper_materials, spec) == texts


def test_the_jobs_own_texts_are_added(whisper_materials, whisper_job, tmp_path):
    (tmp_path / "words.txt").write_text("dim the lamp\n\nwarmer\n")
    spec = whisper_job(vocabulary_texts=str(tmp_path / "words.txt"))
    assert texts_of(whisper_materials, spec)[-2:] == ["dim the lamp", "warmer"]


def test_auto_tries_a_ladder_that_ends_where_the_texts_need_all(whisper_materials, whisper_job):
    spec, model = whisper_job(), whisper_materials.model
    texts = texts_of(whisper_materials, spec)
    sizes = sizes_to_try(whisper_materials, spec, texts)
    assert sizes == sorted({*sizes}, reverse=True)
    assert sizes[0] == max(round(vocabulary_size(model) / 2), sizes[-1])
    assert sizes[-1] == least_vocabulary(model, texts), (
        "less than an eighth would do for no texts of a vocabulary so small"
    )


def test_a_number_is_tried_alone(whisper_materials, whisper_job):
    assert sizes_to_try(whisper_materials, whisper_job(vocabulary=650), ["open door"]) == [650]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_number_out_of_range_is_refused(whisper_materials, whisper_job, size):
    with pytest.raises(ConfigError, match=rf"vocabulary is {size}; allowed: \d+ to 702 tokens"):
        sizes_to_try(whisper_materials, whisper_job(vocabulary=size), ["open door"])
