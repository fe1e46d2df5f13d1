"""Quality and size of a model: the one record that every search, stage and report compares."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from shrinkml.speech.normalisers import DEFAULT
from shrinkml.speech.scoring import score, word_errors

if TYPE_CHECKING:  # this module is imported where torch is not
    from shrinkml.models.protocol import AsrModel
    from shrinkml.training.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model measured on a set of utterances.

    Attributes:
        wer: word error rate as a fraction, over the whole corpus.
        wer_ci95: bootstrap 95 % interval of `wer`.
        cer: character error rate as a fraction.
        substitutions: words.
        deletions: words.
        insertions: words.
        n_utterances: utterances scored.
        n_words: reference words.
        parameters: weights of the whole model.
        bytes: of those weights as stored.
        macs_per_s: multiply-accumulates of the factorizable layers per second of audio; 0 where not measured.
        normaliser: id and version of the text normaliser.
        scorer: name and version of the scoring library.
        seed: of the bootstrap.
        formatted_wer: word error rate with case and punctuation kept; None where the references have neither.
    """

    wer: float
    wer_ci95: tuple[float, float]
    cer: float
    substitutions: int
    deletions: int
    insertions: int
    n_utterances: int
    n_words: int
    parameters: int
    bytes: int
    macs_per_s: float
    normaliser: str
    scorer: str
    seed: int
    formatted_wer: float | None = None  # older results lack it

    def to_json(self) -> dict[str, Any]:
        """The evaluation as plain JSON values."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Evaluation":
        """The evaluation that `to_json` wrote."""
        return cls(**{**value, "wer_ci95": tuple(value["wer_ci95"])})


def transcripts(model: "AsrModel", dataset: "Dataset", *, batch_size: int = 32, beam: int = 1) -> list[str]:
    """Transcribe every utterance of `dataset` with `model`."""
    model.module.eval()
    heard: dict[int, str] = {}
    for batch in dataset.batches(batch_size):
        heard.update(zip(batch, model.transcribe([dataset.features[i] for i in batch], beam=beam), strict=True))
    return [heard[i] for i in range(len(dataset))]


def word_error_rate(model: "AsrModel", dataset: "Dataset", *, batch_size: int = 32, normaliser: str = DEFAULT) -> float:
    """The corpus-level WER of `model`, decoding greedily, without an interval: cheap enough for a search."""
    return word_errors(dataset.texts, transcripts(model, dataset, batch_size=batch_size), normaliser=normaliser).wer


def evaluate(
    model: "AsrModel",
    dataset: "Dataset",
    *,
    stored_bytes: int,
    macs_per_s: float = 0.0,
    batch_size: int = 32,
    beam: int = 1,
    seed: int = 0,
    normaliser: str = DEFAULT,
) -> Evaluation:
    """Everything that is reported of `model` on `dataset`.

    Args:
        model: the recogniser.
        dataset: what it is measured on; the interval is over speakers where there are enough of them.
        stored_bytes: of its weights on disk.
        macs_per_s: of its factorizable layers.
        batch_size: utterances decoded together; the result does not depend on it.
        beam: 1 is greedy.
        seed: of the bootstrap.
        normaliser: name in NORMALISERS.
    """
    heard = transcripts(model, dataset, batch_size=batch_size, beam=beam)
    return evaluation_of(
        model, dataset, heard, stored_bytes=stored_bytes, macs_per_s=macs_per_s, seed=seed, normaliser=normaliser
    )


def evaluation_of(
    model: "AsrModel",
    dataset: "Dataset",
    heard: Sequence[str],
    *,
    stored_bytes: int,
    macs_per_s: float = 0.0,
    seed: int = 0,
    normaliser: str = DEFAULT,
) -> Evaluation:
    """The same of what `model` `heard`, a transcript of each utterance."""
    result = score(dataset.texts, heard, groups=dataset.speakers, seed=seed, normaliser=normaliser)
    return Evaluation(
        wer=result.wer,
        wer_ci95=result.wer_ci95,
        cer=result.cer,
        substitutions=result.substitutions,
        deletions=result.deletions,
        insertions=result.insertions,
        n_utterances=len(dataset),
        n_words=result.n_words,
        parameters=count_parameters(model),
        bytes=stored_bytes,
        macs_per_s=macs_per_s,
        normaliser=result.normaliser,
        scorer=result.scorer,
        seed=seed,
        formatted_wer=result.formatted_wer,
    )


def count_parameters(model: "AsrModel") -> int:
    """Weights of `model`, tied ones once."""
    from shrinkml.compression.sites import present_cost  # loads torch, as whoever has a model did

    return present_cost(model.module).parameters
