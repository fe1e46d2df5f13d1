"""Compare what two versions of ShrinkML do: `python benchmarks/versions.py --before ../shrinkml-before`.

`--before` is a checkout of another version (`git worktree add ../shrinkml-before REVISION`), in which the compiled
kernel was built. In both versions, with the packages of this environment and on one thread:

- every strategy searches two toys with the same seed: the plans judged and their WERs, in order;
- jobs run on the command line (a smaller `configs/demo.yaml` and `configs/ctc.yaml`): plans judged, the plan taken,
  WERs on dev and test, and the weights of the final checkpoint, bit for bit.

Prints a line for each and exits with 1 where anything differs.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.numpy import load_file

from shrinkml.speech.manifest import read_manifest, write_manifest

HERE = Path(__file__).resolve().parents[1]
TOYS = ("separable", "coupled")
EVALUATIONS = 40
SMALLER = {  # what makes a job of configs/ short; the same in both versions
    "demo": {
        "data": {"proxy_utterances": 60},
        "search": {"evaluations": 8, "baselines": ["greedy", "divergence", "evolution"]},
    },
    "ctc": {
        "data": {"proxy_utterances": 60},
        "search": {"evaluations": 8, "baselines": ["greedy", "divergence"]},
        "finetune": {"epochs": 2, "learning_rate": 1.2e-3},
        "export": [],
        "quantize": "none",
    },
}
# Runs in either version: prints one line per strategy and toy, as JSON.
PROBE = """
import hashlib, json, sys
try:
    from agents.search.search_plans import search_plans
    from agents.strategies.strategies import STRATEGIES
except ImportError:
    from agents.strategies import STRATEGIES, search_plans
from envs.toys import TOYS

for name in sys.argv[2:]:
    for strategy in STRATEGIES:
        toy = TOYS[name]()
        found = search_plans(
            strategy, toy.problem, toy.evaluate, reward="budget_wall", evaluations=int(sys.argv[1]), seed=3
        )
        trials = [[trial.plan.digest, round(trial.wer, 12)] for trial in found.trials]
        digest = hashlib.sha256(json.dumps(trials).encode()).hexdigest()
        print(json.dumps([f"{strategy} on the toy {name}", len(trials), digest, found.best.wer]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that both versions did.

    Attributes:
        name: of what was done.
        facts: of its result, in words.
        digest: the same exactly where the results are.
    """

    name: str
    facts: str
    digest: str


def searches(checkout: Path) -> Iterator[Row]:
    """Every strategy of the version in `checkout` on every toy."""
    printed = run(checkout, ["-c", PROBE, str(EVALUATIONS), *TOYS])
    for name, n_trials, digest, wer in map(json.loads, printed.splitlines()):
        yield Row(name, f"{n_trials} plans, best {100 * wer:.2f} % WER", digest)


def job(checkout: Path, name: str, data: Path, out: Path, n_utterances: int) -> Iterator[Row]:
    """The job `name` of configs/, made smaller, run by the version in `checkout` in the folder `out`.

    Each split is the first `n_utterances` of its manifest in `data`.
    """
    out.mkdir(parents=True)
    spec = yaml.safe_load((HERE / "configs" / f"{name}.yaml").read_text())
    for key, value in SMALLER[name].items():
        spec[key] = {**spec.get(key, {}), **value} if isinstance(value, dict) else value
    for split in ("train", "dev", "test"):
        spec["data"][split] = str(out / f"{split}.jsonl")
        write_manifest(out / f"{split}.jsonl", read_manifest(data / f"{split}.jsonl")[:n_utterances])
    if "steps" in spec:  # its old name is understood by both versions
        spec["stages"] = spec.pop("steps")
    spec["executor"] = "local"
    (out / "job.yaml").write_text(yaml.safe_dump(spec))
    module = "server.cli.main" if (checkout / "server" / "cli" / "main.py").exists() else "server.cli"
    run(checkout, ["-m", module, "compress", str(out / "job.yaml"), "--out", str(out / "run"), "--json"])
    report = json.loads((out / "run" / "report.json").read_text())
    trials = [[trial[key] for key in ("strategy", "seed", "wer", "parameters")] for trial in report["trials"]]
    yield Row(f"{name}: plans judged", f"{len(trials)} plans", digest_of(trials))
    ranks = {layer["name"]: layer["rank"] for layer in report["layers"]}
    yield Row(f"{name}: ranks taken", f"{sum(r is not None for r in ranks.values())} of {len(ranks)}", digest_of(ranks))
    for row in report.get("steps", report.get("stages")):
        wers = [row["wer_before"], row["wer_after"]]
        yield Row(f"{name}: WER on dev at {row['target_ratio']:g}x", _percents(wers), digest_of(wers))
    wers = [report["baseline"]["wer"], report["result"]["wer"]]
    yield Row(f"{name}: WER on test", _percents(wers), digest_of(wers))
    weights = load_file(out / "run" / "checkpoints" / "final" / "model.safetensors")
    digest = hashlib.sha256()
    for key in sorted(weights):
        digest.update(key.encode() + weights[key].tobytes())
    yield Row(f"{name}: weights", f"{sum(w.size for w in weights.values()):,} numbers", digest.hexdigest())


def run(checkout: Path, arguments: list[str]) -> str:
    """The output of Python with the packages of this environment and the ShrinkML of `checkout`."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    # `shrinkml compress` ends with 1 where the goal was missed, which a smaller job may do.
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise SystemExit(f"{checkout} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    return done.stdout


def digest_of(value: Any) -> str:
    """The same exactly where the JSON values are."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def compared(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[tuple[str, str, str, str]]:
    """A line per row of either version: name, what each found, and whether it is the same."""
    lines = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            lines.append((name, old.facts if old else "-", new.facts if new else "-", "only one has it"))
            continue
        lines.append((name, old.facts, new.facts, "same" if old.digest == new.digest else "DIFFERENT"))
    return lines


def main() -> int:
    """Prints the table; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the other version")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "commands", help="of `shrinkml prepare commands`")
    parser.add_argument("--jobs", nargs="*", default=["demo", "ctc"], choices=sorted(SMALLER), help="none: toys alone")
    parser.add_argument("--utterances", type=int, default=200, help="of each split, in jobs")
    parser.add_argument("--no-toys", action="store_true", help="jobs alone")
    arguments = parser.parse_args()
    found: list[dict[str, Row]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, checkout in enumerate((arguments.before.resolve(), HERE)):
            rows = [] if arguments.no_toys else list(searches(checkout))
            for name in arguments.jobs:
                out = Path(scratch, str(number), name)
                rows += job(checkout, name, arguments.data.resolve(), out, arguments.utterances)
            found.append({row.name: row for row in rows})
    lines = compared(*found)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return int(any(line[3] != "same" for line in lines))


def _percents(values: list[float]) -> str:
    return " to ".join(f"{100 * value:.2f} %" for value in values)


if __name__ == "__main__":
    raise SystemExit(main())
