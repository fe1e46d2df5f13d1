import dataclasses

import pytest

from agents.pipeline.schedule import FinishedStep
from agents.pipeline.stages.conclusion.final_test_stage import FinalFigures
from agents.pipeline.stages.conclusion.speed_stage import Timed
from agents.pipeline.stages.preparation.baseline_stage import Baseline
from agents.pipeline.step import StepOutcome
from agents.pipeline.summary import missed_by
from shrinkml.measure.evaluation import Evaluation
from shrinkml.measure.speed_rows import Speedup
from shrinkml.report.record import MissedBy

ORIGINAL = Evaluation(
    wer=0.10, wer_ci95=(0.08, 0.12), cer=0.05, substitutions=6, deletions=2, insertions=2, n_utterances=20, n_words=100,
    parameters=1000, bytes=2000, macs_per_s=1.0, normaliser="n", scorer="s", seed=0,
)  # fmt: skip
SMALL = dataclasses.replace(ORIGINAL, wer=0.15, parameters=250, bytes=500)


def outcome(ratio, reached, wer, passed):
    step = FinishedStep(ratio=ratio, reached=reached, wer=wer, passed=passed, checkpoint=f"step-{ratio:g}x")
    rest = dict.fromkeys(("problem", "results", "plan", "finalists", "before", "after", "kept"))
    return StepOutcome(step=step, seconds=1.0, **rest)


def missed(spec, outcomes, batch1=3.0):
    return missed_by(
        spec,
        outcomes,
        baseline=Baseline({}, ORIGINAL, ORIGINAL),
        tested=FinalFigures(ORIGINAL, SMALL, []),
        timed=Timed(Speedup(batch1, batch1, 1, 5, 32, 60.0, ()), []),
    )


def test_a_goal_that_was_met_was_missed_by_nothing(tiny_job):
    spec = tiny_job(goal={"compression_ratio": 4.0, "max_wer_increase": 0.1}, steps=[4.0])
    assert missed(spec, [outcome(4.0, 4.2, 0.15, True)]) == MissedBy(0.0, 0.0, 0.0)


def test_the_distance_to_the_goal_counts_ratio_and_wer_and_what_the_goals_ratio_would_cost(tiny_job):
    spec = tiny_job(goal={"compression_ratio": 8.0, "max_wer_increase": 0.02}, steps=[4.0, 8.0])
    found = missed(spec, [outcome(4.0, 4.2, 0.11, True), outcome(8.0, 8.1, 0.4, False)])
    assert found.compression_ratio == pytest.approx(8.0 - 4.2)
    assert found.wer == pytest.approx(0.15 - 0.10 - 0.02)
    assert found.wer_at_goal_ratio == pytest.approx(0.4 - 0.10 - 0.02)


def test_a_ratio_of_time_is_the_one_measured_in_the_end(tiny_job):
    goal = {"compression_ratio": 4.0, "max_wer_increase": 0.1, "resource": "latency"}
    found = missed(tiny_job(goal=goal, steps=[4.0]), [outcome(4.0, 4.2, 0.15, True)], batch1=3.5)
    assert found.compression_ratio == pytest.approx(0.5)
