import pytest

from shrinkml.errors import ConfigError, ManifestError, UnknownNameError
from shrinkml.speech.corpora.tasks import TASKS, prepare_task
from shrinkml.speech.manifest import read_manifest


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.source])
def test_a_task_of_recorded_speech_says_which_source_it_needs(name, tmp_path):
    with pytest.raises(ConfigError, match=rf"task '{name}' needs a source: a folder with .*\(.*\); got None"):
        prepare_task(name, tmp_path / "data")


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.source])
def test_a_source_that_is_something_else_is_refused_by_the_task(name, tmp_path):
    with pytest.raises(ManifestError, match="fetch"):
        prepare_task(name, tmp_path / "data", tmp_path)


def test_a_synthetic_task_takes_no_source(tmp_path):
    with pytest.raises(ConfigError, match="task 'commands' takes no source; got"):
        prepare_task("commands", tmp_path / "data", tmp_path)


@pytest.mark.parametrize("option", ["longest_s", "test_speakers"])
def test_a_task_without_an_option_takes_none(tmp_path, option):
    with pytest.raises(ConfigError, match=rf"task 'commands' has no option '{option}'; those that have: librispeech"):
        prepare_task("commands", tmp_path / "data", **{option: 3})


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no task named 'command'.*Did you mean 'commands'"):
        prepare_task("command", tmp_path / "data")


def test_a_prepared_task_is_found_again(public_data, tmp_path):
    source = public_data / "librispeech_dev_clean_20spk"
    first = prepare_task("librispeech", tmp_path / "data", source)
    assert prepare_task("librispeech", tmp_path / "data", source) == first
    assert all(path.is_file() for path in first.values())


def test_more_speakers_may_be_held_out_for_test(public_data, tmp_path):
    source = public_data / "librispeech_dev_clean_20spk"
    found = prepare_task("librispeech", tmp_path / "data", source, test_speakers=5)
    assert len({utterance.speaker for utterance in read_manifest(found["test"])}) == 5
