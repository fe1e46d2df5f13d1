"""What a report holds: the keys of report.json that other tools rely on.

WERs are fractions. `Evaluation` rows are those of `shrinkml.measure.evaluation`, as JSON. "On dev" is the set that the
gates measure on, "on the proxy set" the small part of it that the search judges plans on, "on test" the held-out
figures.
"""

from typing import Any, NotRequired, TypedDict


class GoalRow(TypedDict):
    """What was asked for."""

    compression_ratio: float  # original / compressed, of what `resource` says
    resource: NotRequired[str]  # "macs" or "latency"; parameters where it is absent
    max_wer_increase: float  # absolute


class MissedBy(TypedDict):
    """How far the result is from the goal; 0 where a part of it is met."""

    compression_ratio: float  # what the result lacks to the goal's ratio; in latency, of `speedup`'s batch1
    wer: float  # what it has above the WER allowed, on test
    wer_at_goal_ratio: float  # what the best model made for the goal's ratio has above the WER allowed, on dev


class SetRow(TypedDict):
    """A set that decisions are made on, and what the original makes of it."""

    n_utterances: int
    n_words: int
    baseline_wer: float


class Sets(TypedDict):
    """The sets of a run beside test."""

    dev: SetRow
    proxy: SetRow


class SpeedRow(TypedDict):
    """One setting of `shrinkml.measure.speed.speedup`; ranges are [least, most] over the runs."""

    batch_size: int
    threads: int
    speedup: float
    speedup_range: list[float]
    rtf_dense: float
    rtf_dense_range: list[float]
    rtf_compressed: float
    rtf_compressed_range: list[float]


class Speed(TypedDict):
    """What `shrinkml.measure.speed.speedup` measured."""

    batch1: float
    batch16: float
    threads: int
    runs: int
    n_utterances: int
    audio_s: float
    settings: list[SpeedRow]


class RuntimeRow(TypedDict):
    """One model in one runtime, in a process of its own (`shrinkml.measure.runtimes`), from waveform to text.

    Real-time factors are medians of the rounds with [least, most]. Each checkpoint took turns with the original, whose
    row is of the turns with the final one.
    """

    runtime: str  # "torch" or "onnxruntime"
    model: str  # "original", "compressed" (the final one), or the name of another checkpoint of the run
    precision: str  # "float32" or "int8"
    threads: int
    rtf_batch1: float
    rtf_batch1_range: list[float]
    rtf_batch16: float
    rtf_batch16_range: list[float]
    speedup_batch1: float  # times as fast as the original in the same runtime, precision and threads; median of rounds
    speedup_batch16: float
    rounds: int
    import_s: float  # to import the runtime
    load_s: float  # to open the model after that, its files in the disk's cache; transformers is imported then
    peak_bytes: int  # resident in the whole process, the runtime's libraries included
    bytes: int  # of the checkpoint's weights, or of the export's folder


class Finalist(TypedDict):
    """A plan that a search thought best, before fine-tuning."""

    strategy: str
    seed: int
    proxy_wer: float
    dev_wer: float


class StageRow(TypedDict):
    """One pass through search, factorization, fine-tuning and gate."""

    stage: int  # from 1, in the order they were run, steps back included
    target_ratio: float  # that the search had to reach, of what the goal counts
    reached_ratio: float  # of the same; in latency, as foreseen by the table of what layers take
    compression_ratio: float  # original / compressed parameters
    parameters: int
    strategy: str  # whose plan was taken
    finalists: list[Finalist]  # plans judged again on all of dev, the one taken first
    evaluations: int  # plans judged by all strategies
    wer_before: float  # factorized, before fine-tuning, on dev
    wer_after: float  # after fine-tuning, on dev
    kept: str  # "fine-tuned", or "factorized" where fine-tuning lost the goal on dev
    accepted: bool  # by the gate
    seconds: float


class ComparisonRow(TypedDict):
    """The best plan of one strategy and seed in the last stage, on the proxy set, before fine-tuning."""

    strategy: str
    seed: int
    evaluations: int
    compression_ratio: float
    wer: float


class MenuEntry(TypedDict):
    """A rank that a search could give to a layer."""

    rank: int | None  # None: dense
    weights_kept: float  # of those that the layer had before the stage
    divergence_alone: float | None  # nats per utterance that the outputs are expected to move; None: not known
    wer_alone: float | None  # with this layer alone compressed, on the proxy set; None: no strategy measured it
    chosen: bool  # by the plan taken


class MenuRow(TypedDict):
    """What the last stage's searches could choose for one layer, and what they measured of it."""

    name: str
    entries: list[MenuEntry]  # ascending; the last is the layer as the stage found it, and its WER the stage's start
    cut: list[int]  # ranks that left the menu before the search, for what they were expected to do alone; ascending


class LayerRow(TypedDict):
    """What became of one factorizable matrix."""

    name: str
    shape: list[int]  # [out, in]
    rank: int | None  # None: dense
    break_even_rank: int


class TrialRow(TypedDict):
    """One plan that a search judged, on the proxy set, before fine-tuning; in the order of judging."""

    stage: int
    strategy: str
    seed: int
    wer: float  # an estimate where not all was heard
    heard: float  # share of the words; less than 1 where the plan was stopped early, as it could not win
    parameters: int
    within_budget: bool  # of the stage; other plans measured a layer alone, and count as evaluations


class ExportRow(TypedDict):
    """The final model for another runtime."""

    name: str  # of its row in `checkpoints`
    int8: bool
    kept_layers: list[str]  # that int8 would harm, and that stayed as they are
    bytes: int  # of its folder
    wer: float  # in that runtime, on test
    wer_ci95: list[float]
    n_utterances: int  # of dev, on which it is compared with the checkpoint
    same_transcripts: int
    largest_difference: float  # between two scores (logits)
    n_long: int  # utterances joined from those, heard one at a time
    longest_s: float
    long_wer: float  # of the checkpoint on them
    long_wer_exported: float
    silence_words: int  # that the checkpoint hears in two seconds of silence
    silence_words_exported: int
    component_wers: dict[str, float]  # of an int8 export: WER of those in float, and with each component alone in int8


class Int8Row(TypedDict):
    """The final model, run by torch in int8 (`shrinkml.load(..., int8=True)`), on test."""

    wer: float
    wer_ci95: list[float]


class CheckpointRow(TypedDict):
    """A checkpoint of the run: the sha256 and size of its files, which a download brings as one tar."""

    name: str
    sha256: str
    bytes: int


class Sample(TypedDict):
    """What both models hear in one test utterance."""

    reference: str
    baseline: str
    result: str


class Report(TypedDict):
    """Everything that a run found out."""

    job: dict[str, Any]  # the JobSpec
    goal: GoalRow
    goal_met: bool
    missed_by: MissedBy
    baseline: dict[str, Any]  # Evaluation of the original on test
    result: dict[str, Any]  # Evaluation of the smallest accepted model on test; of the best one where none was
    sets: Sets
    compression_ratio: float  # original / compressed parameters
    size_ratio: float  # original / compressed bytes on disk
    speedup: Speed
    runtimes: list[RuntimeRow]  # of every checkpoint; of exports too, where the job makes some, the original's as well
    stages: list[StageRow]
    comparison: list[ComparisonRow]
    menus: list[MenuRow]
    layers: list[LayerRow]
    trials: list[TrialRow]
    exports: list[ExportRow]
    torch_int8: Int8Row | None  # where the job asks for int8 and any layer gains by it
    checkpoints: list[CheckpointRow]
    samples: list[Sample]
    seconds: float  # of the whole run
    versions: dict[str, str]  # package -> version
