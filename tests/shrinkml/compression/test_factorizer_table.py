import subprocess
import sys

import pytest

from shrinkml.compression import factorizers
from shrinkml.compression.factorizer_table import FACTORIZERS

PROGRAM = "import sys; from shrinkml.compression.factorizer_table import FACTORIZERS; print('torch' in sys.modules)"


def test_the_names_are_known_without_torch():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(("name", "function"), [("svd", "svd"), ("whitened", "whitened_svd"), ("pca", "pca")])
def test_a_row_loads_its_function(name, function):
    assert FACTORIZERS[name].decompose is getattr(factorizers, function)
