import pytest

import shrinkml
from agents.pipeline.job_run import run_job
from agents.pipeline.stages.conclusion.activations_stage import OBSERVED, save_rounded
from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.job import LayersSpec, parse_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.report import to_json
from shrinkml.speech.audio import write_flac
from shrinkml.speech.manifest import Utterance, write_manifest
from shrinkml.storage.checkpoint import inspect, save
from tests.shrinkml.models.transducer.whistled import RATE_HZ, TEXTS, whistle
from tests.shrinkml.models.transformer.taught_whistles import taught


@pytest.mark.slow
def test_a_whisper_whose_inputs_are_rounded_hears_nearly_the_same(whisper_job, whisper_materials, tmp_path):
    spec = whisper_job(activations=8, activation_scales="multiplier", layers=LayersSpec(except_="*.conv1"))
    made = save_rounded(whisper_materials, whisper_materials.original, tmp_path, spec=spec)
    assert made == tmp_path / OBSERVED
    found = inspect(made)
    assert found.activations == ActivationSpec(8, "multiplier")
    assert {choice.bits for _, choice in found.plan} == {8}
    assert not any("conv1" in layer for layer, _ in found.plan)
    speech = whisper_materials.dev
    wers = [word_error_rate(model, speech) for model in (whisper_materials.model, shrinkml.load(made))]
    assert wers[1] <= wers[0] + 0.1


@pytest.fixture(scope="module")
def whistles(tmp_path_factory):
    """Split -> manifest, and the model that learnt to say them."""
    folder = tmp_path_factory.mktemp("whistles")
    for split, takes in {"train": (10, 11), "dev": (20,), "test": (30,)}.items():
        utterances = []
        for take in takes:
            for n, text in enumerate(TEXTS):
                waveform, path = whistle(text, seed=100 * take + n), folder / f"{split}-{take}-{n}.flac"
                write_flac(path, waveform, RATE_HZ)
                utterances.append(Utterance(path, len(waveform) / RATE_HZ, text))
        write_manifest(folder / f"{split}.jsonl", utterances)
    save(taught("memory"), folder / "model")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bits", [8, 4])
def test_a_job_rounds_activations_and_trains_what_that_costs(whistles, tmp_path, bits):
    job = {
        "model": str(whistles / "model"),
        "data": {split: str(whistles / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "goal": {"compression_ratio": 1.2, "max_wer_increase": 0.5},
        "steps": [1.2],
        "search": {"strategy": "greedy", "evaluations": 1, "baselines": []},
        "finetune": {"epochs": 6, "batch_size": 8, "learning_rate": 1e-3},
        "executor": "local",
        "activations": bits,
        "export": ["onnx"],
    }
    report = to_json(run_job(parse_job(job), tmp_path / "run"))
    final, row = tmp_path / "run" / "checkpoints" / "final", report["activations"]
    assert inspect(final).activations == ActivationSpec(bits)
    assert (row["bits"], row["scales"]) == (bits, "float")
    assert (row["tuned_wer"] is None) == (row["observed_wer"] <= row["wer"] + 0.001)
    assert min(row["observed_wer"], row["tuned_wer"] or 1.0) <= row["wer"] + 0.3
    (exported,) = report["exports"]
    assert exported["int8"]
    assert exported["same_transcripts"] > exported["n_utterances"] / 2
    assert {layer["bits"] for layer in report["layers"]} == {bits}
