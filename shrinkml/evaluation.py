"""How good and how big a model is: the one record that every search, stage and report compares."""

import json
from dataclasses import asdict, dataclass
from typing import Any


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

    def to_json(self) -> dict[str, Any]:
        """The evaluation as plain JSON values."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Evaluation":
        """The evaluation that `to_json` wrote."""
        return cls(**{**value, "wer_ci95": tuple(value["wer_ci95"])})
