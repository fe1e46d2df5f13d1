"""The stages of a job, each a function from what came before to a folder of artefacts and a JSON-able result."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from agents.pipeline.interruptible import Interruptible
from agents.pipeline.materials import Materials
from agents.search.decompose_layers import decomposed
from agents.search.layer_losses import layer_divergences
from agents.search.make_problem import cheapest_plan, check_reachable, pose, with_divergences
from agents.search.model_evaluator import BATCH_SIZE, shrunk
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import StoredDecompositions, read_problem, write_factors, write_workspace
from agents.strategies import STRATEGIES
from agents.strategies.model_based.kept_policy import read_policy
from envs.expectation import expected_divergence
from envs.menus import build_menus
from envs.problem import RankProblem
from envs.rewards import REWARDS
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.compression.inventory import ParameterNote, list_parameters
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.errors import CheckpointError, ExportError, PlanError, PrecisionError
from shrinkml.export import exported_transcripts
from shrinkml.export.components import wer_by_component
from shrinkml.export.exporter import Exporter, check_exportable
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.export.stress import stress
from shrinkml.job import FinetuneSpec, JobSpec
from shrinkml.measure.evaluation import evaluate, transcripts, word_error_rate
from shrinkml.measure.speed import speedup
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.models.families import FAMILIES
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import PriceList, parameter_prices
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import check_fit, check_splits
from shrinkml.speech.scoring import score
from shrinkml.storage import checkpoint
from shrinkml.storage.compression_record import write_record
from shrinkml.storage.merging import check_mergeable
from shrinkml.storage.model_card import write_card
from shrinkml.tables import look_up
from shrinkml.training.dataset import Dataset
from shrinkml.training.train import Epoch, train

N_SAMPLES = 8  # transcripts shown in the report
N_VERIFIED = 8  # utterances whose transcripts a fresh process must repeat
N_FINALISTS = 5  # plans of a search that are judged again, on all of dev
N_TIMED = 32  # utterances of the speed measurement
TIMED_RUNS = 5
N_COMPARED = 100  # utterances that an exported recogniser must hear as the checkpoint does
MOST_DIFFERENCE = 1e-2  # between the scores of a checkpoint and of its export in float; about 1e-5 is usual

Result = dict[str, Any]


def validate(materials: Materials, spec: JobSpec) -> Result:
    """The pre-flight report: that everything asked for exists, and what becomes of every parameter.

    `factorized` names the layers that will be, `left_alone` says of everything else why it will not be, and `tied`
    which names are other names of a tensor that is listed already.

    Raises:
        UnknownNameError: a strategy, reward or factorizer that does not exist.
        ManifestError: the data have problems, all are listed; or utterances are longer than the model can hear or
            write.
        CheckpointError: the model cannot be loaded.
        ConfigError: there is no GPU where the job asks for one, it asks a LAS to learn in bfloat16, its policy is none,
            or the model's generation looks for the language of each utterance.
        ExportError: the model cannot be exported as the job asks.
        PlanError: nothing can be factorized, not even the smallest ranks reach the goal, or the job is strict and some
            matrices cannot be factorized.
    """
    for name in (spec.search.strategy, *spec.search.baselines):
        look_up(STRATEGIES, name, kind="strategy")
    look_up(REWARDS, spec.search.reward, kind="reward")
    look_up(FACTORIZERS, spec.factorizer, kind="factorizer")
    if spec.search.policy is not None:
        read_policy(Path(spec.search.policy))
    splits = check_splits(materials.manifests)
    model = materials.model
    check_fit(chain.from_iterable(splits.values()), longest_s=model.longest_s, misfit=model.misfit)
    if "onnx" in spec.export:
        check_exportable(model)
    if "transformers" in spec.export:
        check_mergeable(materials.original)
    module = materials.model.module
    cost, ranks, notes = model_cost(module), current_plan(module), list_parameters(module)
    if spec.strict:
        _refuse_unknown(notes)
    if spec.finetune.mixed_precision:
        FAMILIES[model.family].check_mixed_precision("finetune.mixed_precision")
    menus = build_menus(cost.layers, current_ranks=ranks)
    if spec.goal.resource == "parameters":  # other prices are a stage of their own
        check_reachable(parameter_prices(cost, ranks), menus, ratio=spec.goal.compression_ratio)
    return {
        "parameters": cost.parameters(ranks),
        "smallest_parameters": cost.parameters(cheapest_plan(menus)),
        "factorized": [layer.name for layer in cost.layers if len(menus[layer.name]) > 1],
        "left_alone": {
            **{name: "no rank would make it smaller" for name, menu in menus.items() if len(menu) == 1},
            **{note.name: note.why for note in notes if note.verdict == "left"},
        },
        "tied": {note.name: note.why for note in notes if note.verdict == "tied"},
        "utterances": {split: len(utterances) for split, utterances in splits.items()},
    }


def _refuse_unknown(notes: Sequence[ParameterNote]) -> None:
    unknown = [f"{note.name} {list(note.shape)}: {note.why}" for note in notes if note.is_unknown]
    if unknown:
        raise PlanError(
            "the job is strict, and these weights cannot be factorized; without `strict` they stay as they are:\n  "
            + "\n  ".join(unknown)
        )


def baseline(materials: Materials) -> Result:
    """What the original achieves on dev and on the proxy set, and how often each layer works per second of audio."""
    calls = materials.calls_per_s
    dev = measure(materials, materials.original, materials.dev, calls)
    proxy = measure(materials, materials.original, materials.proxy, calls)
    return {"calls_per_s": calls, "dev": dev, "proxy": proxy}


def pose_problem(
    materials: Materials,
    folder: Path,
    *,
    start: Path,
    ratio: float,
    factorizer: str,
    cache: Path,
    prices: PriceList | None = None,
) -> Result:
    """Decomposes every layer of the checkpoint `start` and writes the workspace of a search to `folder`.

    Args:
        materials: the original and the speech.
        folder: becomes the workspace.
        start: the original, or what an earlier stage made of it.
        ratio: how many times cheaper than the original the plans must be.
        factorizer: name in FACTORIZERS.
        cache: database of evaluations.
        prices: what they cost; their parameters, if absent.

    Returns:
        `proxy_wer`, of `start`, and `looked_s`, the seconds that measuring every layer alone took.
    """
    model = materials.opened(start)
    heard = Interruptible(model, materials.should_stop)
    write_factors(folder, decomposed(heard, materials.calibration, factorizer, folder))
    decompositions = StoredDecompositions(folder)
    wer = word_error_rate(heard, materials.proxy)
    original = materials.model.module
    prices = prices or parameter_prices(model_cost(original), current_plan(original))
    problem = pose(model.module, decompositions, prices=prices, ratio=ratio, baseline_wer=wer)

    def cut(plan: CompressionPlan) -> Interruptible:
        return Interruptible(shrunk(model, plan, decompositions), materials.should_stop)

    began_s = time.monotonic()
    divergences = layer_divergences(heard, cut, problem.menus, materials.calibration)
    looked_s = time.monotonic() - began_s
    write_workspace(
        folder,
        problem=with_divergences(problem, divergences),
        model=start,
        proxy=materials.proxy,
        cache=cache,
        device=materials.device.type,
    )
    return {"proxy_wer": wer, "looked_s": looked_s}


def winner(results: Sequence[SearchResult]) -> SearchResult:
    """The search whose best plan has the lowest WER; ties go to the smaller model, then to the earlier search."""
    return min(results, key=lambda result: (result.best.wer, result.best.parameters))


def finalists(results: Sequence[SearchResult], problem: RankProblem) -> list[tuple[SearchResult, Trial]]:
    """The best few plans within the budget that any search judged whole, each once, with the search that was first.

    No plan can be expected to hear better than the model that it cuts: of those that seem to, or do as well, the least
    expected harm is best.
    """

    def order(pair: tuple[SearchResult, Trial]) -> tuple[float, float, int]:
        trial = pair[1]
        return max(trial.wer, problem.baseline_wer), expected_divergence(problem, trial.plan), trial.parameters

    found: dict[CompressionPlan, tuple[SearchResult, Trial]] = {}
    for result in results:
        for trial in result.trials:
            if problem.admits(trial.plan) and not trial.stopped:
                found.setdefault(trial.plan, (result, trial))
    return sorted(found.values(), key=order)[:N_FINALISTS]


def choose(materials: Materials, results: Sequence[SearchResult], *, start: Path, workspace: Path) -> Result:
    """The finalist of the lowest WER on all of dev: a small proxy set flatters whoever asked it most.

    Args:
        materials: the speech.
        results: of all searches.
        start: the checkpoint that was searched.
        workspace: of the searches.

    Returns:
        `plan`, and `finalists`: strategy, seed, WER on the proxy set and on dev of each, the chosen one first.
    """
    best = finalists(results, read_problem(workspace))
    model, decompositions = materials.opened(start), StoredDecompositions(workspace)

    def on_dev(plan: CompressionPlan) -> float:
        small = Interruptible(shrunk(model, plan, decompositions), materials.should_stop)
        return word_error_rate(small, materials.dev, batch_size=BATCH_SIZE)

    judged = sorted([(on_dev(trial.plan), result, trial) for result, trial in best], key=lambda row: row[0])
    rows = [
        {"strategy": result.strategy, "seed": result.seed, "proxy_wer": trial.wer, "dev_wer": wer}
        for wer, result, trial in judged
    ]
    return {"plan": judged[0][2].plan.to_json(), "finalists": rows}


def save_factorized(materials: Materials, target: Path, *, start: Path, workspace: Path, plan: CompressionPlan) -> None:
    """Writes the checkpoint `start`, factorized by `plan` with the factors of `workspace`, to `target`."""
    model = shrunk(materials.opened(start), plan, StoredDecompositions(workspace))
    materials.save(model, target)


def finetune(
    materials: Materials,
    start: Path,
    target: Path,
    *,
    epochs: int,
    learning_rate: float,
    settings: FinetuneSpec,
    on_epoch: Callable[[Epoch], None],
) -> None:
    """Trains the checkpoint `start` for `epochs`, with the original as teacher if asked, and writes it to `target`.

    A killed training goes on from its last epoch: its state lies beside `target` until that is written.
    """
    model = materials.load(start)
    state_file = target.with_name("training.pt")
    train(
        model,
        materials.train,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=settings.batch_size,
        seed=materials.seed,
        warp=settings.warp,
        mixed_precision=settings.mixed_precision,
        soft_targets=materials.soft_targets if settings.distill else None,
        state_file=state_file,
        on_epoch=on_epoch,
        should_stop=materials.should_stop,
    )
    materials.save(model, target)
    state_file.unlink()


def describe(
    materials: Materials, model: Path, *, on: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Writes compression.json and README.md, the model card, into the checkpoint `model`.

    Args:
        materials: what it was made from.
        model: the checkpoint.
        on: the set that it was measured on.
        before: Evaluation of the original, as JSON.
        after: the same of `model`; `wer` is enough.
    """
    record = write_record(
        model,
        source=checkpoint.inspect(materials.original).digest,
        data=materials.manifest_digests,
        normaliser=before["normaliser"],
        seed=materials.seed,
    )
    set_of = f"{before['n_utterances']} {on} utterances"
    write_card(model, layers=record["layers"], on=set_of, before=before, after=after)


def measure(materials: Materials, model: Path, dataset: Dataset, calls: Mapping[str, float]) -> Result:
    """The Evaluation of the checkpoint `model` on `dataset`, as JSON: of what is stored, rounding included."""
    loaded = materials.opened(model)
    evaluation = evaluate(
        Interruptible(loaded, materials.should_stop),
        dataset,
        stored_bytes=checkpoint.inspect(model).stored_bytes,
        macs_per_s=model_cost(loaded.module, calls).macs_per_s(current_plan(loaded.module)),
        seed=materials.seed,
    )
    return evaluation.to_json()


def verify(materials: Materials, model: Path) -> Result:
    """That a fresh process loads the checkpoint `model` with the core alone and hears the same in a few utterances.

    Both on the CPU.

    Raises:
        CheckpointError: it does not.
    """
    loaded = checkpoint.load(model)
    audio = [utterance.audio for utterance in materials.dev_utterances[:N_VERIFIED]]
    waveforms = [read_audio(path, loaded.sample_rate_hz) for path in audio]
    expected = [loaded.transcribe([loaded.features(waveform)])[0] for waveform in waveforms]
    fresh = view_in_fresh_process(model, audio, threads=torch.get_num_threads())
    parameters = model_cost(loaded.module).parameters(current_plan(loaded.module))
    if fresh.transcripts != expected:
        raise CheckpointError(f"a fresh process hears {fresh.transcripts} where this one heard {expected}")
    if fresh.parameters != parameters:
        raise CheckpointError(f"the file of {model} holds {fresh.parameters} parameters; its plan says {parameters}")
    if fresh.packages != ["shrinkml"]:
        raise CheckpointError(f"loading {model} needed {', '.join(fresh.packages)}; the core must do")
    return {"parameters": fresh.parameters, "utterances": len(audio)}


def measure_on_test(materials: Materials, model: Path, calls: Mapping[str, float]) -> Result:
    """What the original and the checkpoint `model` achieve on test, and a few transcripts of both."""
    few = materials.test.subset(range(min(N_SAMPLES, len(materials.test))))
    heard = transcripts(materials.model, few), transcripts(materials.load(model), few)
    return {
        "baseline": measure(materials, materials.original, materials.test, calls),
        "result": measure(materials, model, materials.test, calls),
        "samples": [
            {"reference": reference, "baseline": before, "result": after}
            for reference, before, after in zip(few.texts, *heard, strict=True)
        ],
    }


def time_speed(materials: Materials, model: Path) -> Result:
    """How much faster than the original the checkpoint `model` is, here and now, on the CPU."""
    timed = materials.proxy.subset(range(min(N_TIMED, len(materials.proxy))))
    stop = materials.should_stop
    return speedup(
        Interruptible(checkpoint.load(materials.original), stop),
        Interruptible(checkpoint.load(model), stop),
        timed.features,
        timed.durations_s,
        runs=TIMED_RUNS,
    )


def hear_in_int8(materials: Materials, model: Path) -> Result | None:
    """What the checkpoint `model` achieves on test where torch multiplies in int8, on the CPU; None if it would not."""
    try:
        small = Interruptible(checkpoint.load(model, int8=True), materials.should_stop)
    except PrecisionError:
        return None
    test = materials.test
    found = score(test.texts, transcripts(small, test), groups=test.speakers, seed=materials.seed)
    return {"wer": found.wer, "wer_ci95": list(found.wer_ci95)}


def export_onnx(materials: Materials, exporter: Exporter, folder: Path, *, int8: bool = False) -> Result:
    """Writes a checkpoint for ONNX Runtime to `folder`: its name, size, likeness on dev and WER on test.

    Args:
        materials: the speech.
        exporter: of the checkpoint.
        folder: of the export.
        int8: whether weights are stored as int8; layers that this would harm are not.

    Raises:
        ExportError: it cannot be exported, or what came of it computes something else.
    """
    few, stop = materials.dev_utterances[:N_COMPARED], materials.should_stop
    kept = exporter.write(folder, int8=int8, speech=few, should_stop=stop)
    asking, exported = Interruptible(exporter.model, stop), OnnxRecogniser(folder)
    parity = compare(asking, exported, few)
    if not int8 and parity.largest_difference > MOST_DIFFERENCE:
        raise ExportError(
            f"the scores of the checkpoint and of {folder} differ by {parity.largest_difference:g}; "
            f"allowed: {MOST_DIFFERENCE:g}"
        )
    test = materials.test_utterances
    heard = exported_transcripts.transcripts(exported, test, should_stop=stop)
    found = score([u.text for u in test], heard, groups=[u.speaker for u in test], seed=materials.seed)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    facts = {"name": folder.name, "int8": int8, "kept_layers": sorted(kept), "bytes": n_bytes}
    facts |= {"wer": found.wer, "wer_ci95": list(found.wer_ci95)}
    alone = wer_by_component(exporter.drawn, kept, few, should_stop=stop) if int8 else {}
    return {**facts, **asdict(parity), **asdict(stress(asking, exported, few)), "component_wers": alone}
