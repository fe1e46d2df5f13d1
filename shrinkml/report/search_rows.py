"""Rows of the report about steps, searches and menus. WERs are fractions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finalist:
    """A plan that a search thought best, before fine-tuning.

    Attributes:
        strategy: that found it.
        seed: of its search.
        proxy_wer: on the proxy set.
        dev_wer: on all of dev.
    """

    strategy: str
    seed: int
    proxy_wer: float
    dev_wer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One ratio on the way: one pass through search, factorization, fine-tuning and gate.

    Attributes:
        step: from 1, in the order they were run, steps back included.
        target_ratio: that the search had to reach, of what the goal counts.
        reached_ratio: of the same; in latency, as foreseen by the table of what layers take. None in older reports.
        compression_ratio: original / compressed parameters.
        parameters: of the model that it left.
        strategy: whose plan was taken.
        finalists: plans judged again on all of dev, the one taken first; none in older reports.
        evaluations: plans judged by all strategies; 0 in older reports.
        wer_before: factorized, before fine-tuning, on dev.
        wer_after: after fine-tuning, on dev.
        kept: "fine-tuned", or "factorized" where fine-tuning lost the goal on dev.
        accepted: by the gate.
        seconds: that its stages took.
    """

    step: int
    target_ratio: float
    reached_ratio: float | None = None
    compression_ratio: float
    parameters: int
    strategy: str
    finalists: tuple[Finalist, ...] = ()
    evaluations: int = 0
    wer_before: float
    wer_after: float
    kept: str = "fine-tuned"
    accepted: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """The best plan of one strategy and seed in the last step, on the proxy set, before fine-tuning.

    Attributes:
        strategy: the strategy.
        seed: of its search.
        evaluations: plans that it judged.
        compression_ratio: original / compressed parameters.
        wer: of the plan.
    """

    strategy: str
    seed: int
    evaluations: int
    compression_ratio: float
    wer: float


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One plan that a search judged, on the proxy set, before fine-tuning; in the order of judging.

    Attributes:
        step: number of the step that was searching.
        strategy: that asked.
        seed: of its search.
        wer: an estimate where not all was heard.
        parameters: of the model that it cuts.
        within_budget: of the step; other plans measured a layer alone, and count as evaluations.
        heard: share of the words; less than 1 where the plan was stopped early, as it could not win.
    """

    step: int
    strategy: str
    seed: int
    wer: float
    parameters: int
    within_budget: bool
    heard: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuEntry:
    """A choice that a search could make for a layer.

    Attributes:
        rank: None is dense.
        bits: of each weight; None is as the checkpoint stores what is not rounded.
        identity: True where one of its factors holds an identity block.
        sparsity: share of its weights that are zero and not stored.
        units: that are left, where some are cut here and of the matrix that multiplies them; None is all.
        dropped: True where the module is left out; None for what may not be.
        weights_kept: bytes, of those that the layer had before the step; where none is rounded, weights likewise.
        expected_loss: of this choice alone, in nats per token; None is not known, as in older reports.
        wer_alone: with this layer alone compressed, on the proxy set; None where no strategy measured it.
        chosen: by the plan taken.
    """

    rank: int | None
    bits: int | None = None
    identity: bool = False
    sparsity: float = 0.0
    units: int | None = None
    dropped: bool | None = None
    weights_kept: float
    expected_loss: float | None = None
    wer_alone: float | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class MenuRow:
    """The menu of one layer in the last step's searches, and what they measured of it.

    Attributes:
        name: of the layer.
        entries: ascending; the last is the layer as the step found it, and its WER the step's start.
        cut: ranks that left the menu before the search, for what they were expected to do alone; ascending.
    """

    name: str
    entries: tuple[MenuEntry, ...]
    cut: tuple[int, ...] = ()
