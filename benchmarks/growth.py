"""How a search's own time grows with layers and evaluations: `python benchmarks/growth.py`.

A row is one search of a toy of a recogniser (`envs.toys.recogniser`): the seconds that the processor works outside
evaluations, which a busy machine does not stretch, and the WER found, which shows that the search did search. A row is
written as soon as it is there: run it again to add what is missing. A search that is predicted to take longer than
`--limit`, by a power law through the two before it with fewer evaluations, is left out and says so.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from rows import Row, kept
from search import OURS, REWARD, Clock

from agents.search.search_plans import search_plans
from agents.strategies.strategies import STRATEGIES
from envs.toys import Toy, recogniser

COLUMNS = (
    "strategy",
    "layers",
    "evaluations",
    "judged",
    "seconds of its own",
    "milliseconds each",
    "WER found, %",
)
USUAL_GROWTH = 1.5  # exponent of the number of evaluations, where one search alone tells of it


def searched(toy: Toy, strategy: str, evaluations: int) -> Row:
    """One search."""
    clock, started = Clock(toy.evaluate, time.process_time), time.process_time()
    found = search_plans(
        strategy,
        toy.problem,
        clock,
        reward=REWARD,
        evaluations=evaluations,
        seed=1,
    )
    own_s = time.process_time() - started - clock.seconds
    return {
        "strategy": strategy,
        "layers": len(toy.problem.decisions),
        "evaluations": evaluations,
        "judged": len(found.trials),
        "own_seconds": own_s,
        "wer": found.best.wer,
    }


def predicted(before: Sequence[Row], evaluations: int) -> float:
    """The seconds of a search, by those `before` with fewer evaluations, ascending; 0 where there is none."""
    if not before:
        return 0.0
    growth = USUAL_GROWTH
    if len(before) > 1:
        (n, s), (last_n, last_s) = ((row["evaluations"], row["own_seconds"]) for row in before[-2:])
        growth = math.log(last_s / s) / math.log(last_n / n)
    return float(before[-1]["own_seconds"] * (evaluations / before[-1]["evaluations"]) ** growth)


def line(row: Row) -> str:
    """Markdown."""
    cells = [str(row[key]) for key in ("strategy", "layers", "evaluations")]
    if "predicted_seconds" in row:
        cells += ["-", f"left out: about {row['predicted_seconds']:.0f}", "-", "-"]
    else:
        each = 1000 * row["own_seconds"] / row["judged"]
        cells += [str(row["judged"]), f"{row['own_seconds']:.1f}", f"{each:.1f}", f"{100 * row['wer']:.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder-layers", type=int, nargs="+", default=[3, 11, 23, 48], help="18 to 198 matrices")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 200, 1000, 5000], help="plans per search")
    parser.add_argument("--strategies", nargs="+", default=[OURS, "evolution"], choices=sorted(STRATEGIES))
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a search may be predicted to take")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/growth"), help="folder of the rows")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    print(f"| {' | '.join(COLUMNS)} |\n| {' | '.join('---' for _ in COLUMNS)} |")
    for strategy in arguments.strategies:
        for depth in arguments.encoder_layers:
            before: list[Row] = []
            for evaluations in sorted(arguments.evaluations):
                toy = recogniser(encoder_layers=depth)
                layers, needed = len(toy.problem.decisions), predicted(before, evaluations)
                what = {"strategy": strategy, "layers": layers, "evaluations": evaluations}
                path = arguments.out / f"{strategy}-{layers}-{evaluations}.json"
                if needed > arguments.limit and not path.exists():
                    rows.append({**what, "predicted_seconds": needed})
                else:
                    before.append(kept(path, lambda: searched(toy, strategy, evaluations)))  # noqa: B023
                    rows.append(before[-1])
                print(line(rows[-1]), flush=True)
    (arguments.out / "table.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
