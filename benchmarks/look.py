"""Compare the losses that a look foretells from few ranks with those at all: `python benchmarks/look.py`.

Layers of a job's model, drawn by chance, are cut alone to every rank of their menus, and it is counted how far the
model's scores move on a few utterances (`agents.search.look`). Then the losses at all ranks are foretold from those at
a few. A row tells by what factor they err: the mean of the logarithms over the ranks that lose what MATTERS and were
not among the few, as a factor; the median over layers and the worst of them.
"""

import argparse
import math
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from agents.pipeline.materials import Materials
from agents.search.decompose_layers import decomposed
from agents.search.look.effort import measured_ranks
from agents.search.look.forced_scores import ForcedScores
from agents.search.look.layer_losses import few_of, layer_losses
from agents.search.look.recalled_losses import RecalledLosses
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions, write_factors
from envs.menus import build_menus
from envs.rank_options import as_choices, retained_energy
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.job import read_job
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan

CONFIGS = Path(__file__).parent.parent / "configs"
MATTERS = (0.002, 5.0)  # nats per utterance: less is chance, more is ruin
COLUMNS = ("ranks measured", "layers", "factor by which others err, median of layers", "the worst layer")


class Known:
    """Losses of one layer at each rank, which tell what a model under a plan would."""

    tells = True

    def __init__(self, at_ranks: Mapping[int, float], tokens_per_utterance: float) -> None:
        self.at_ranks = at_ranks
        self.tokens_per_utterance = tokens_per_utterance

    def divergence(self, plan: CompressionPlan) -> float:
        """The loss of the layer at the rank that `plan` gives it."""
        ((_, choice),) = plan
        return self.at_ranks[choice.rank or 0]


def factor(known: Known, left_out: Mapping[int, float], n_ranks: int) -> float | None:
    """The factor by which losses foretold from `n_ranks` err; None where none of the others matters."""
    menu = (*known.at_ranks, None)
    choices = as_choices({"layer": menu})
    found = layer_losses(RecalledLosses(lambda: known), choices, lambda _, rank: left_out[rank], n_ranks=n_ranks)
    assert found is not None
    n = known.tokens_per_utterance
    others = [
        abs(math.log(found.at("layer", Choice(rank=rank)) / loss))
        for rank, loss in known.at_ranks.items()
        if MATTERS[0] <= loss * n <= MATTERS[1] and rank not in measured_ranks(menu, n_ranks)
    ]
    return math.exp(statistics.mean(others)) if others else None


def measured(materials: Materials, n_layers: int, n_heard: int) -> list[tuple[Known, dict[int, float]]]:
    """Of some layers the losses at all ranks, and the energy that each leaves out."""
    model = materials.opened(materials.original)
    menus = build_menus(model_cost(model).layers, current_ranks=current_plan(model))
    few = few_of(materials.dev, n_heard)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_factors(Path(folder), decomposed(model, materials.calibration, "pca", Path(folder)))
        factors = dict(StoredDecompositions(Path(folder)))
        scores = ForcedScores(model, lambda plan: shrunk(model, plan, factors), few)
        if not scores.tells:
            raise SystemExit(f"{materials.original} tells no scores: nothing to measure losses by")
        names = sorted(name for name, menu in menus.items() if len(menu) > 1 and name in factors)
        for name in random.Random(0).sample(names, min(n_layers, len(names))):
            ranks = [rank for rank in menus[name] if rank is not None]
            losses = {rank: scores.divergence(CompressionPlan({name: Choice(rank=rank)})) for rank in ranks}
            kept = retained_energy(factors[name].singular_values.tolist(), ranks)
            left_out = {rank: 1.0 - share for rank, share in zip(ranks, kept, strict=True)}
            rows.append((Known(losses, scores.tokens_per_utterance), left_out))
    return rows


def table(rows: Sequence[tuple[Known, Mapping[int, float]]], counts: Sequence[int]) -> str:
    """Markdown, a line for each number of ranks measured."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for n_ranks in counts:
        found = [it for known, left_out in rows if (it := factor(known, left_out, n_ranks)) is not None]
        cells = (n_ranks, len(found), f"{statistics.median(found):.2f}", f"{max(found):.2f}") if found else (n_ranks, 0)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIGS / "ctc.yaml", help="a job, for its model and data")
    parser.add_argument("--layers", type=int, default=10, help="drawn by chance")
    parser.add_argument("--utterances", type=int, default=24, help="of dev that are heard")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3, 5], help="numbers of ranks measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = read_job(arguments.config)
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
    print(table(measured(materials, arguments.layers, arguments.utterances), arguments.ranks))


if __name__ == "__main__":
    main()
