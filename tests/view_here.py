"""The final checkpoints of tests' jobs are opened by the process of the tests: starting a fresh one takes 3 s."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from shrinkml.measure.verification import FreshView, view

STAGE = "agents.pipeline.stages.conclusion.verify_stage"


def view_here(patch: pytest.MonkeyPatch) -> None:
    """From now on jobs in this process open what they verify in this process; a fresh one knows the core alone."""

    def core_view(checkpoint: Path, audio: Sequence[Path], *, threads: int) -> FreshView:
        return replace(view(checkpoint, audio), packages=["shrinkml"])

    patch.setattr(f"{STAGE}.view_in_fresh_process", core_view)
