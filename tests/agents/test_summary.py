import numpy as np

from agents.summary import installed


def test_only_installed_packages_have_a_version():
    assert installed(("numpy", "no-such-package")) == {"numpy": np.__version__}
