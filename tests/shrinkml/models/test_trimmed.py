import pytest

import shrinkml
from shrinkml.errors import ConfigError
from shrinkml.models.trimmed import least_vocabulary, rank_vocabulary, trim_vocabulary

TEXTS = ["turn on the light"]


def test_a_model_is_trimmed_by_its_family():
    whisper = shrinkml.load("reference/whisper")
    least = least_vocabulary(whisper, TEXTS)
    small = trim_vocabulary(whisper, rank_vocabulary(whisper, TEXTS), least)
    assert small.n_outputs == least < whisper.n_outputs


@pytest.mark.parametrize("name", ["reference/las", "reference/ctc"])
def test_other_vocabularies_are_refused_by_the_familys_name(name):
    model = shrinkml.load(name)
    for refused in (lambda: rank_vocabulary(model, TEXTS), lambda: least_vocabulary(model, TEXTS)):
        with pytest.raises(ConfigError, match=f"model of family '{model.family}' cannot be trimmed; allowed: encoder"):
            refused()
