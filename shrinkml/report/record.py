"""The record of a run's findings: the fields of report.json that other tools rely on.

WERs are fractions. "On dev" is the set that the gates measure on, "on the proxy set" the small part of it that the
search judges plans on, "on test" the held-out figures. Fields with a default are absent from older reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shrinkml.measure.evaluation import Evaluation
from shrinkml.measure.speed_rows import RuntimeRow, Speedup
from shrinkml.plan.prices import Resource
from shrinkml.report.search_rows import ComparisonRow, Finalist, MenuRow, StepRow, TrialRow


@dataclass(frozen=True, slots=True)
class GoalRow:
    """The goal of a job.

    Attributes:
        compression_ratio: original / compressed, of what `resource` says.
        max_wer_increase: absolute.
        resource: that is to be saved.
    """

    compression_ratio: float
    max_wer_increase: float
    resource: Resource = "parameters"


@dataclass(frozen=True, slots=True)
class MissedBy:
    """The distance of the result from the goal; 0 where a part of it is met.

    Attributes:
        compression_ratio: that the result lacks to the goal's ratio; in latency, of `speedup.batch1`.
        wer: that it has above the WER allowed, on test.
        wer_at_goal_ratio: that the best model made for the goal's ratio has above the WER allowed, on dev.
    """

    compression_ratio: float
    wer: float
    wer_at_goal_ratio: float


@dataclass(frozen=True, slots=True)
class SetRow:
    """A set that decisions are made on.

    Attributes:
        n_utterances: in it.
        n_words: in its references.
        baseline_wer: of the original.
    """

    n_utterances: int
    n_words: int
    baseline_wer: float


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets of a run beside test.

    Attributes:
        dev: for the gates.
        proxy: for the search.
    """

    dev: SetRow
    proxy: SetRow


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One factorizable matrix of the result.

    Attributes:
        name: of its site.
        shape: (out, in).
        rank: None is dense.
        break_even_rank: up to which low rank saves parameters.
        bits: of each weight; None is as the checkpoint stores what is not rounded.
        sparsity: share of its weights that are zero and not stored.
        units: rows or columns that are left of it, where units are cut; None is all.
    """

    name: str
    shape: tuple[int, int]
    rank: int | None
    break_even_rank: int
    bits: int | None = None
    sparsity: float = 0.0
    units: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """The final model for another runtime.

    Attributes:
        name: of its row in `checkpoints`.
        int8: True where weights are stored so.
        kept_layers: that int8 would harm, and that stayed as they are.
        bytes: of its folder.
        wer: in that runtime, on test.
        wer_ci95: of `wer`.
        n_utterances: of dev, on which it is compared with the checkpoint.
        same_transcripts: of how many of them.
        largest_difference: between two scores (logits).
        n_long: utterances joined from those, heard one at a time.
        longest_s: the longest of them, in seconds.
        long_wer: of the checkpoint on them.
        long_wer_exported: of the export on them.
        silence_words: that the checkpoint hears in two seconds of silence.
        silence_words_exported: that the export hears there.
        component_wers: of an int8 export: WER of those utterances in float, and with each component alone in int8.
    """

    name: str
    int8: bool
    kept_layers: tuple[str, ...] = ()
    bytes: int
    wer: float
    wer_ci95: tuple[float, float]
    n_utterances: int
    same_transcripts: int
    largest_difference: float
    n_long: int = 0
    longest_s: float = 0.0
    long_wer: float = 0.0
    long_wer_exported: float = 0.0
    silence_words: int = 0
    silence_words_exported: int = 0
    component_wers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlainInt8Row:
    """The original in int8 for ONNX Runtime, without any compression: what its user could have without a search.

    Attributes:
        bytes: of its files.
        wer: on test.
        wer_ci95: 95 % interval of it.
        meets_goal: True where it is as many times smaller in bytes as the goal asks, within the goal's WER.
        beats_result: True where an export of the result in int8 is no smaller and hears no better.
    """

    bytes: int
    wer: float
    wer_ci95: tuple[float, float]
    meets_goal: bool
    beats_result: bool

    @property
    def handed_over(self) -> bool:
        """True where it lies among the checkpoints."""
        return self.meets_goal or self.beats_result


@dataclass(frozen=True, slots=True)
class Int8Row:
    """The final model, run by torch in int8 (`shrinkml.load(..., int8=True)`), on test.

    Attributes:
        wer: its WER.
        wer_ci95: of `wer`.
    """

    wer: float
    wer_ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class VocabularyRow:
    """A vocabulary that was trimmed.

    Attributes:
        original: tokens of the original.
        kept: tokens of what was made of it.
        wer: of the original with those alone, on dev.
    """

    original: int
    kept: int
    wer: float


@dataclass(frozen=True, slots=True)
class LeverRow:
    """The part of one lever in the size of the result.

    Attributes:
        lever: "drop", "rank" (with or without identity blocks), then "units", "bits" and "sparsity".
        bytes: of the result's weights with this lever and those before it alone.
    """

    lever: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TailRow:
    """A window that was tried.

    Attributes:
        tail_s: seconds of silence behind each utterance, at least, that are heard.
        wer: of the result so, on dev.
    """

    tail_s: float
    wer: float


@dataclass(frozen=True, slots=True)
class WindowRow:
    """The window that the result hears, where it hears one of fixed length.

    Attributes:
        whole_s: seconds of the original's.
        tail_s: seconds of silence behind each utterance that the result hears of it; None for all.
        whole_wer: of the result in whole windows, on dev; None where none was tried.
        tried: shorter windows, the last one allowed if any was.
    """

    whole_s: float
    tail_s: float | None
    whole_wer: float | None
    tried: tuple[TailRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ActivationsRow:
    """The rounding of the result's activations.

    Attributes:
        bits: of each.
        scales: that they may have: "float", "power_of_two" or "multiplier".
        wer: of the model before, on dev.
        observed_wer: with ranges that were observed on calibration speech alone.
        tuned_wer: after training; None where there was none.
        trained: True where the trained model was taken.
    """

    bits: int
    scales: str
    wer: float
    observed_wer: float
    tuned_wer: float | None = None
    trained: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint of the run.

    Attributes:
        name: of its folder.
        sha256: of its files, which a download brings as one tar.
        bytes: of its files.
    """

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One test utterance and its transcripts.

    Attributes:
        reference: the words that were said.
        baseline: heard by the original.
        result: heard by the smaller model.
    """

    reference: str
    baseline: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of a run.

    Attributes:
        job: the JobSpec, as JSON: a report outlives the version that its job was written for.
        goal: that was asked for.
        goal_met: True where nothing of it was missed.
        missed_by: how much of it was.
        baseline: the original on test.
        result: the smallest accepted model on test; the best one where none was accepted.
        sets: that decisions were made on.
        compression_ratio: original / compressed parameters.
        size_ratio: original / compressed bytes on disk.
        speedup: in torch.
        runtimes: of every checkpoint; of exports too, where the job makes some, the original's as well.
        steps: one ratio after another.
        comparison: of the strategies, in the last step.
        menus: of the last step.
        layers: of the result.
        trials: every plan that was judged.
        exports: of the result.
        torch_int8: where the job asks for int8 and any layer gains by it.
        plain_int8: the original in int8, where the job asks for int8.
        vocabulary: where it was trimmed before the first step.
        levers: in turn, where more than one was pulled.
        dropped: modules that were left out of the result.
        window: where the result hears one of fixed length.
        activations: where they are rounded.
        untranscribed: splits without transcripts: errors on them are words that differ from the original's own.
        checkpoints: that can be downloaded.
        samples: of test.
        seconds: of the whole run.
        versions: package -> version.
    """

    job: Mapping[str, Any]
    goal: GoalRow
    goal_met: bool
    missed_by: MissedBy
    baseline: Evaluation
    result: Evaluation
    sets: Sets
    compression_ratio: float
    size_ratio: float
    speedup: Speedup
    runtimes: tuple[RuntimeRow, ...] = ()
    steps: tuple[StepRow, ...]
    comparison: tuple[ComparisonRow, ...]
    menus: tuple[MenuRow, ...]
    layers: tuple[LayerRow, ...]
    trials: tuple[TrialRow, ...]
    exports: tuple[ExportRow, ...] = ()
    torch_int8: Int8Row | None = None
    plain_int8: PlainInt8Row | None = None
    vocabulary: VocabularyRow | None = None
    levers: tuple[LeverRow, ...] = ()
    dropped: tuple[str, ...] = ()
    window: WindowRow | None = None
    activations: ActivationsRow | None = None
    untranscribed: tuple[str, ...] = ()
    checkpoints: tuple[CheckpointRow, ...]
    samples: tuple[Sample, ...]
    seconds: float
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.job["name"])

    @property
    def strategy(self) -> str:
        """The job's own strategy, which the others are compared with."""
        return str(self.job["search"]["strategy"])

    @property
    def finalists(self) -> tuple[Finalist, ...]:
        """The last step's plans that were judged again on all of dev, the one taken first."""
        return self.steps[-1].finalists if self.steps else ()
