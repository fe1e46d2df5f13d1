import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.families import FAMILIES
from shrinkml.models.family import as_it_is

ROOT = Path(__file__).parents[3]
ANY = next(iter(FAMILIES.values()))


def test_a_family_that_learns_in_float32_alone_says_why():
    slow = replace(ANY, float32_only="a toy: false, it computes in float32")
    with pytest.raises(ConfigError, match=r"finetune\.mixed_precision is true; allowed for a toy: false, it computes"):
        slow.check_mixed_precision("finetune.mixed_precision")


def test_any_other_family_learns_in_bfloat16():
    replace(ANY, float32_only=None).check_mixed_precision("mixed_precision")


def test_a_family_is_told_no_language_unless_it_says_how():
    assert replace(ANY).language_settings({"model_type": "any"}, "en") is None


def test_a_model_that_needs_nothing_else_is_trained_as_it_is():
    model = object()
    assert as_it_is(model, 3) is model


def test_the_record_loads_no_torch():
    program = "import sys, shrinkml.models.family; assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
