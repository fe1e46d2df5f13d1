"""The figures of a checkpoint, and the files in it that tell them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.pipeline.materials import Materials
from agents.search.interruptible import Interruptible
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.measure.evaluation import Evaluation, evaluation_of, transcripts
from shrinkml.speech.scoring import Score, score
from shrinkml.storage import checkpoint
from shrinkml.storage.compression_record import write_record
from shrinkml.storage.model_card import write_card
from shrinkml.training.dataset import Dataset


def measure(
    materials: Materials,
    model: Path,
    dataset: Dataset,
    calls: Mapping[str, float],
    *,
    heard: Sequence[str] | None = None,
) -> Evaluation:
    """The figures of the checkpoint `model` on `dataset`: of what is stored, rounding included.

    Args:
        materials: of the job.
        model: the checkpoint.
        dataset: to measure on.
        calls: layer -> products per second of audio.
        heard: its transcripts, where they are known.
    """
    loaded = materials.opened(model)
    if heard is None:
        heard = transcripts(Interruptible(loaded, materials.should_stop), dataset)
    return evaluation_of(
        loaded,
        dataset,
        heard,
        stored_bytes=checkpoint.inspect(model).stored_bytes,
        macs_per_s=model_cost(loaded.module, calls).macs_per_s(current_plan(loaded.module)),
        seed=materials.seed,
        normaliser=materials.normaliser,
    )


def score_on_test(materials: Materials, heard: Sequence[str]) -> Score:
    """The score of `heard`, a transcript of each utterance of test, by whatever recogniser."""
    test = materials.test_utterances
    return score(
        [utterance.text for utterance in test],
        heard,
        groups=[utterance.speaker for utterance in test],
        seed=materials.seed,
        normaliser=materials.normaliser,
    )


def describe(materials: Materials, model: Path, *, on: str, before: Evaluation, after: Mapping[str, Any]) -> None:
    """Write compression.json and README.md, the model card, into the checkpoint `model`.

    Args:
        materials: that it was made from.
        model: the checkpoint.
        on: the set that it was measured on.
        before: the original's figures.
        after: those of `model`, as JSON; `wer` is enough.
    """
    record = write_record(
        model,
        source=checkpoint.inspect(materials.original).digest,
        data=materials.manifest_digests,
        normaliser=before.normaliser,
        seed=materials.seed,
    )
    set_of = f"{before.n_utterances} {on} utterances"
    write_card(model, layers=record.layers, on=set_of, before=before.to_json(), after=after)
