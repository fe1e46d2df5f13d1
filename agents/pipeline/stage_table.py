"""The pipeline, from top to bottom: its stages before the first step, those of every step, and those after the last.

References:
    Mehrotra et al. 2020, Iterative compression of end-to-end ASR model using AutoML, arXiv:2008.02897.
"""

from collections.abc import Sequence
from typing import Any

from agents.pipeline.stage import Stage
from agents.pipeline.stages.conclusion.activations_stage import ACTIVATIONS
from agents.pipeline.stages.conclusion.export_stage import EXPORT
from agents.pipeline.stages.conclusion.final_test_stage import TEST
from agents.pipeline.stages.conclusion.report_stage import REPORT
from agents.pipeline.stages.conclusion.speed_stage import SPEED
from agents.pipeline.stages.conclusion.verify_stage import VERIFY
from agents.pipeline.stages.preparation.baseline_stage import BASELINE
from agents.pipeline.stages.preparation.prices_stage import PRICES
from agents.pipeline.stages.preparation.transcripts_stage import TRANSCRIPTS
from agents.pipeline.stages.preparation.validate_stage import VALIDATE
from agents.pipeline.stages.steps.calibrate_stage import CALIBRATE
from agents.pipeline.stages.steps.choose_stage import CHOOSE
from agents.pipeline.stages.steps.evaluate_stage import EVALUATE
from agents.pipeline.stages.steps.factorize_stage import FACTORIZE
from agents.pipeline.stages.steps.finetune_stage import FINETUNE
from agents.pipeline.stages.steps.search_stage import SEARCH
from agents.pipeline.vocabulary.trim_stage import TRIM
from agents.pipeline.windows.window_stage import WINDOWS

Stages = Sequence[Stage[Any]]

STAGES: Stages = (
    VALIDATE,
    TRANSCRIPTS,
    PRICES,
    BASELINE,
    TRIM,
    # For every ratio on the way:
    CALIBRATE,
    SEARCH,
    CHOOSE,
    FACTORIZE,
    FINETUNE,
    EVALUATE,
    # With the best that came of it:
    WINDOWS,
    ACTIVATIONS,
    VERIFY,
    TEST,
    EXPORT,
    SPEED,
    REPORT,
)


def before_steps(stages: Stages) -> Stages:
    """The stages of the whole job that come before the first step."""
    return stages[: _first_of_step(stages)]


def of_step(stages: Stages) -> Stages:
    """The stages of every step."""
    return [stage for stage in stages if stage.per_step]


def after_steps(stages: Stages) -> Stages:
    """The stages of the whole job that come after the last step."""
    return [stage for stage in stages[_first_of_step(stages) :] if not stage.per_step]


def _first_of_step(stages: Stages) -> int:
    return next(i for i, stage in enumerate(stages) if stage.per_step)
