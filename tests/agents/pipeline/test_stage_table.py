from collections import Counter

from agents.pipeline.stage import Stage, takes
from agents.pipeline.stage_table import STAGES, after_steps, before_steps, of_step


def test_the_pipeline_reads_from_top_to_bottom():
    assert [stage.name for stage in before_steps(STAGES)] == ["validate", "transcripts", "prices", "baseline", "trim"]
    assert [stage.name for stage in of_step(STAGES)] == [
        "calibrate",
        "search",
        "choose",
        "factorize",
        "finetune",
        "evaluate",
    ]
    assert [stage.name for stage in after_steps(STAGES)] == [
        "windows",
        "activations",
        "verify",
        "test",
        "export",
        "speed",
        "report",
    ]


def test_no_two_stages_have_one_name():
    assert max(Counter(stage.name for stage in STAGES).values()) == 1


def test_a_row_goes_where_it_stands():
    toy = Stage("toy", int, lambda context: 1, takes(1.0))
    assert before_steps((toy, *STAGES))[0] is toy
    assert after_steps((*STAGES, toy))[-1] is toy


def test_stages_are_there_where_the_job_has_need_of_them(tiny_job):
    def present(**changes):
        return {stage.name for stage in STAGES if stage.present(tiny_job(**changes), 3.0)}

    everything = {stage.name for stage in STAGES}
    everything.remove("activations")
    assert present(activations=8) == {*present(), "activations"}
    assert present() == everything - {"prices", "trim", "export"}
    assert present(export=["onnx"]) == everything - {"prices", "trim"}
    assert present(finetune={"epochs": 0}) == everything - {"prices", "trim", "export", "finetune"}
