"""Compare factorizers layer by layer: `python benchmarks/factorizers.py`.

Each layer of a job's model is cut alone, to a few ranks of its menu, by each factorizer, and it is counted how far
the model's scores move, in nats per utterance (`agents.search.look`): on calibration speech, by which a choice
would be made, and on dev, by which it is judged, on a few utterances of each. A row tells of the layers and ranks where
PCA moves them by a divergence that MATTERS: how many times as far another factorizer moves them on dev; for how many it
would be chosen, being better than PCA by MARGIN; and for how many of those rightly. The last row of a model is the best
choice for each layer and rank.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from agents.pipeline.materials import Materials
from agents.search.decompose_layers import decomposed
from agents.search.look.effort import EFFORTS, measured_ranks
from agents.search.look.forced_scores import ForcedScores
from agents.search.look.layer_losses import LEAST, LayerLosses, few_of, layer_losses
from agents.search.look.recalled_losses import RecalledLosses
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions, write_factors
from envs.menus import Menu, build_menus
from envs.rank_options import as_choices, retained_energy
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.job import read_job
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

Losses = dict[str, tuple[float, ...]]

EFFORT = EFFORTS[0]

CONFIGS = Path(__file__).parent.parent / "configs"
OTHERS = ("svd", "whitened")
MATTERS = (0.003, 1.0)  # nats per utterance: less is hardly heard, more ruins the model
MARGIN = 0.05
COLUMNS = (
    "model", "factorizer", "layers and ranks", "divergence on dev over that of pca, geometric mean (quartiles)",
    "would be chosen for", "rightly",
)  # fmt: skip


class Cell(NamedTuple):
    """A layer at a rank: the divergence of each factorizer over that of PCA, on calibration speech and on dev."""

    seen: Mapping[str, float]
    on_dev: Mapping[str, float]

    @property
    def best(self) -> str:
        """The factorizer that would be chosen."""
        first = min(self.seen, key=lambda name: self.seen[name])
        return first if self.seen[first] < 1.0 - MARGIN else "pca"


def measured(materials: Materials) -> list[Cell]:
    """The layers and ranks of the original where it matters how they are cut."""
    model = materials.opened(materials.original)
    menus = build_menus(model_cost(model).layers, current_ranks=current_plan(model))
    sets = (materials.calibration, materials.dev)
    looks = {name: looked(model, name, menus, sets) for name in ("pca", *OTHERS)}
    if not looks["pca"][0]:
        raise SystemExit(f"{materials.original} tells no scores: nothing to measure divergences by")
    cells = []
    for layer, rank in (
        (layer, rank) for layer, menu in menus.items() for rank in measured_ranks(menu, EFFORT.n_ranks)
    ):
        if MATTERS[0] <= looks["pca"][0][layer][rank] <= MATTERS[1]:
            seen, on_dev = (
                {
                    name: max(look[i][layer][rank], LEAST) / max(looks["pca"][i][layer][rank], LEAST)
                    for name, look in looks.items()
                }
                for i in range(len(sets))
            )
            cells.append(Cell(seen, on_dev))
    return cells


def looked(model: AsrModel, factorizer: str, menus: Mapping[str, Menu], sets: Sequence[Dataset]) -> list[Losses]:
    """The losses per utterance of cutting each layer alone on each of `sets`; the first of them calibrates."""
    with tempfile.TemporaryDirectory() as folder:
        write_factors(Path(folder), decomposed(model, sets[0], factorizer, Path(folder)))
        factors = dict(StoredDecompositions(Path(folder)))

    def cut(plan: CompressionPlan) -> AsrModel:
        return shrunk(model, plan, factors)

    looks = [RecalledLosses(partial(ForcedScores, model, cut, few_of(speech, EFFORT.n_heard))) for speech in sets]
    choices = as_choices(menus)

    def left_out(layer: str, rank: int) -> float:
        return 1.0 - retained_energy(factors[layer].singular_values.tolist(), (rank,))[0]

    return [per_utterance(layer_losses(measured, choices, left_out, n_ranks=EFFORT.n_ranks)) for measured in looks]


def per_utterance(losses: LayerLosses | None) -> Losses:
    """In nats per utterance; nothing of a model that tells no scores."""
    if losses is None:
        return {}
    n = losses.tokens_per_utterance
    return {layer: tuple(loss * n for loss in curve) for layer, curve in losses.curves.items()}


def table(cells: Mapping[str, Sequence[Cell]]) -> str:
    """Markdown, of the cells of each model."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for model, found in cells.items():
        for name in OTHERS:
            chosen = [cell for cell in found if cell.seen[name] < 1.0 - MARGIN]
            right = sum(cell.on_dev[name] < 1.0 for cell in chosen)
            lines.append(_line(model, name, [cell.on_dev[name] for cell in found], str(len(chosen)), str(right)))
        lines.append(_line(model, "the best", [cell.on_dev[cell.best] for cell in found], "", ""))
    return "\n".join(lines)


def _line(model: str, name: str, ratios: Sequence[float], *counts: str) -> str:
    if not ratios:
        return f"| {' | '.join((model, name, '0', '-', *counts))} |"
    sample = ratios if len(ratios) > 1 else [*ratios, *ratios]
    low, _, high = statistics.quantiles(sample, n=4, method="inclusive")
    spread = f"{statistics.geometric_mean(ratios):.2f} ({low:.2f} to {high:.2f})"
    return f"| {' | '.join((model, name, str(len(ratios)), spread, *counts))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=["demo", "ctc"], help="jobs, by their names in configs/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cells = {}
    for name in arguments.configs:
        spec = read_job(CONFIGS / f"{name}.yaml")
        cells[name] = measured(Materials(spec.model, spec.data, seed=0, should_stop=lambda: False))
        print(table({name: cells[name]}), flush=True)
    print("", table(cells), sep="\n")


if __name__ == "__main__":
    main()
