import json

import pytest

from agents.execution.local_executor import LocalExecutor
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.job_run import run_job
from agents.pipeline.materials import Materials
from agents.pipeline.stage import Finished, RunState, Tools
from agents.pipeline.stages.preparation.prices_stage import prices_of
from agents.pipeline.stages.preparation.validate_stage import validate
from agents.pipeline.vocabulary.trim_stage import TRIM, Trimmed, base_of, smallest_that_hears
from shrinkml.errors import ConfigError, PlanError, StoppedError
from shrinkml.models.trimmed import least_vocabulary, rank_vocabulary, trim_vocabulary
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report import to_json
from shrinkml.storage.checkpoint import load, save, stored_parameters

SEARCH = {
    "strategy": "surrogate",
    "evaluations": 1,  # each must do with a budget that is met already
    "baselines": ["uniform", "greedy", "divergence", "knapsack", "random", "evolution"],
}
WIDTH = 256  # of the bundled Whisper


@pytest.fixture(scope="module")
def trimmed_job(whisper_job, tmp_path_factory):
    """A finished job whose goal trimming alone reaches: folder, report and events."""
    folder, events = tmp_path_factory.mktemp("trimmed"), []
    goal = {"compression_ratio": 1.01, "max_wer_increase": 1.0}
    job = whisper_job(goal=goal, search=SEARCH, finetune={"epochs": 0})
    return job, folder, to_json(run_job(job, folder, on_event=events.append)), events


def test_the_stage_is_there_only_where_a_job_asks_for_it(tiny_job, whisper_job):
    assert not TRIM.present(tiny_job(), 3.0)
    assert TRIM.present(whisper_job(), 3.0)
    assert TRIM.present(whisper_job(vocabulary=600), 3.0)


def test_sizes_are_tried_until_one_loses_too_much(whisper_materials):
    model, texts, told = whisper_materials.model, whisper_materials.texts, []
    least, ranking = least_vocabulary(model, texts), rank_vocabulary(model, texts)

    def try_all(allowed_wer, known=()):
        told.clear()
        return smallest_that_hears(
            whisper_materials,
            [least + 9, least + 5, least],
            ranking,
            allowed_wer=allowed_wer,
            known=known,
            on_trial=lambda trial, number: told.append((trial.tokens, number)),
        )

    everything = try_all(10.0)
    assert [trial.tokens for trial in everything] == [least + 9, least + 5, least]
    assert told == [(least + 9, 1), (least + 5, 2), (least, 3)]
    assert everything[0].parameters - everything[1].parameters == 4 * WIDTH
    first = try_all(-1.0)
    assert [trial.allowed for trial in first] == [False]
    assert try_all(10.0, known=everything) == everything


def test_a_job_whose_goal_trimming_reaches_searches_and_ends(trimmed_job):
    _, folder, report, events = trimmed_job
    row = report["vocabulary"]
    assert row["kept"] < row["original"] == 702
    assert report["goal_met"]
    final = load(folder / "checkpoints" / "final")
    window, tried = report["window"], [event.data for event in events if event.kind == "window"]
    assert final.window_tail_s == window["tail_s"]
    assert [(one["tail_s"], one["wer"]) for one in window["tried"]] == [(one["tail_s"], one["wer"]) for one in tried]
    assert final.n_outputs == row["kept"] == len(final.text.kept)
    card = (folder / "checkpoints" / "final" / "README.md").read_text()
    assert f"Its vocabulary is trimmed to {row['kept']:,} tokens." in card
    result = json.loads((folder / "stages" / "trim" / "result.json").read_text())
    assert [trial["tokens"] for trial in result["trials"]][-1] == row["kept"]
    told = [event.data["tokens"] for event in events if event.kind == "trimmed"]
    assert told == [trial["tokens"] for trial in result["trials"]]
    kept = stored_parameters(folder / "stages" / "trim" / "model")
    assert kept == result["dev"]["parameters"] == stored_parameters("reference/whisper") - (702 - row["kept"]) * WIDTH
    assert report["compression_ratio"] == stored_parameters("reference/whisper") / report["result"]["parameters"]
    assert report["steps"][0]["reached_ratio"] == pytest.approx(report["compression_ratio"], rel=1e-3)
    page = (folder / "report.html").read_text()
    assert "Tokens of the vocabulary" in page


def test_a_resumed_job_finds_its_vocabulary(trimmed_job):
    job, folder, report, _ = trimmed_job
    events = []
    assert to_json(run_job(job, folder, on_event=events.append)) == report
    assert not [event for event in events if event.kind == "trimmed"]


def test_a_stopped_trimming_goes_on_with_the_sizes_that_are_left(whisper_job, tmp_path):
    job, events = whisper_job(), []
    stop = lambda: bool([event for event in events if event.kind == "trimmed"])  # noqa: E731 - after the first
    with pytest.raises(StoppedError):
        run_job(job, tmp_path, on_event=events.append, should_stop=stop)
    begun = json.loads((tmp_path / "stages" / "trim.partial" / "trials.json").read_text())
    assert [trial["tokens"] for trial in begun] == [events[-1].data["tokens"]]


@pytest.mark.slow
def test_a_number_of_tokens_is_kept_without_a_trial_and_teaches(whisper_job, tmp_path):
    search = {"strategy": "greedy", "evaluations": 2, "baselines": []}
    finetune = {"epochs": 1, "learning_rate": 1e-4, "batch_size": 12}
    job = whisper_job(vocabulary=650, search=search, finetune=finetune)
    report = to_json(run_job(job, tmp_path))
    assert (report["vocabulary"]["original"], report["vocabulary"]["kept"]) == (702, 650)
    assert report["steps"][0]["reached_ratio"] >= 1.2
    assert json.loads((tmp_path / "stages" / "trim" / "result.json").read_text())["trials"] == []


def test_all_tokens_of_a_vocabulary_leave_the_original_in_its_place(whisper_materials, whisper_job, tmp_path):
    tools = Tools(whisper_job(), RunFolder(tmp_path), whisper_materials, LocalExecutor(), lambda: False)
    assert base_of(tools, RunState()) == whisper_materials.original
    whole = Finished("trim", tmp_path, Trimmed(702, 702, [], None), 0.0)
    assert base_of(tools, RunState(finished={"trim": whole})) == whisper_materials.original


def test_prices_know_the_smaller_embedding_and_count_from_the_original(whisper_materials, whisper_job, tmp_path):
    tools = Tools(whisper_job(), RunFolder(tmp_path), whisper_materials, LocalExecutor(), lambda: False)
    ranking = rank_vocabulary(whisper_materials.model, whisper_materials.texts)
    small = trim_vocabulary(whisper_materials.model, ranking, 650)
    save(small, tmp_path / "model")
    dev = object()
    done = Finished("trim", tmp_path, Trimmed(702, 650, [], dev), 0.0)
    prices = prices_of(tools, RunState(finished={"trim": done}))
    assert prices.original == stored_parameters("reference/whisper")
    assert prices.price(CompressionPlan()) == stored_parameters(tmp_path / "model")


def test_the_pre_flight_tells_how_many_tokens_stay_and_what_is_left_of_the_model(whisper_materials, whisper_job):
    found = validate(whisper_materials, whisper_job(vocabulary=650))
    note = found.vocabulary
    assert (note.original, note.kept) == (702, 650)
    assert note.parameters == found.parameters - 52 * WIDTH
    whole = validate(whisper_materials, whisper_job(vocabulary="all"))
    assert whole.vocabulary is None
    assert found.smallest_parameters < whole.smallest_parameters
    assert found.parameters == whole.parameters


def test_a_goal_out_of_reach_is_judged_with_the_smallest_vocabulary(whisper_materials, whisper_job):
    whole = validate(whisper_materials, whisper_job(vocabulary="all"))
    least = validate(whisper_materials, whisper_job())
    between = whole.parameters / ((whole.smallest_parameters + least.smallest_parameters) / 2)
    goal = {"compression_ratio": between, "max_wer_increase": 1.0}
    assert validate(whisper_materials, whisper_job(goal=goal))
    with pytest.raises(PlanError, match="out of reach"):
        validate(whisper_materials, whisper_job(goal=goal, vocabulary="all"))


def test_a_vocabulary_of_another_kind_is_refused_before_any_work(tiny_job):
    job = tiny_job(vocabulary=20)
    materials = Materials(job.model, job.data, seed=0, should_stop=lambda: False)
    with pytest.raises(ConfigError, match="vocabulary of a model of family 'las' cannot be trimmed"):
        validate(materials, job)
