"""A search's folder: all that a process needs to judge plans, written once, opened by every task.

problem.json           the decision problem
workspace.json         where model and evaluations lie, and the texts of the proxy set
factors-*.safetensors  the decomposition of every layer, one each, in the order of the model
proxy.safetensors      the features of every proxy utterance
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import count
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from envs import problem_json
from envs.problem import CompressionProblem
from shrinkml.compression.sites import NO_PAIRS, sharing
from shrinkml.speech.normalisers import DEFAULT
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition

PROBLEM = "problem.json"
RECORD = "workspace.json"
FACTORS = "factors*.safetensors"
PROXY = "proxy.safetensors"
LEADER = "leader"  # in the head of a follower's factors: the layer that has the same


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """The content of workspace.json.

    Attributes:
        model: checkpoint that the plans are applied to, a path from the folder.
        cache: database of evaluations, a path from the folder.
        device: where the plans are judged; a torch device.
        texts: of the utterances that plans are judged on.
        durations_s: of the same.
        speakers: of the same, where they are known.
        normaliser: name in NORMALISERS.
    """

    model: str
    cache: str
    device: str
    texts: list[str]
    durations_s: list[float]
    speakers: list[str | None]
    normaliser: str = DEFAULT


def write_factors(
    folder: Path, decompositions: Iterable[tuple[str, Decomposition]], pairs: Mapping[str, str] = NO_PAIRS
) -> None:
    """Writes `decompositions`, layer and decomposition, to the workspace in `folder`, each as soon as it is made.

    Args:
        folder: of the workspace.
        decompositions: of the layers.
        pairs: layers -> their followers. Those between linear layers have the same decompositions: these are written
            once.
    """
    numbers = count()  # `enumerate` would hold what it gave last
    pairs = sharing(pairs)
    leaders = {follower: layer for layer, follower in pairs.items()}
    for layer, found in decompositions:
        if layer in pairs:
            continue
        parts = {f"{layer}/{part.name}": getattr(found, part.name).contiguous() for part in fields(Decomposition)}
        metadata = {LEADER: leaders[layer]} if layer in leaders else None
        save_file(parts, folder / FACTORS.replace("*", f"-{next(numbers):04}"), metadata)
        del found, parts  # the next may need the room


def write_workspace(
    folder: Path,
    *,
    problem: CompressionProblem,
    model: Path,
    proxy: Dataset,
    cache: Path,
    device: str = "cpu",
    normaliser: str = DEFAULT,
) -> None:
    """Writes the files of a workspace to `folder`, all but the factors.

    Args:
        folder: exists; may be renamed later, as long as it stays as far from `model` and `cache`.
        problem: what is searched.
        model: checkpoint that the plans are applied to.
        proxy: what the plans are judged on.
        cache: database of evaluations; made when the workspace is opened, unless it is there.
        device: where the plans are judged; a torch device.
        normaliser: of the word errors; name in NORMALISERS.
    """
    save_file({str(i): features.contiguous() for i, features in enumerate(proxy.features)}, folder / PROXY)
    record = WorkspaceRecord(
        model=os.path.relpath(model.resolve(), folder.resolve()),
        cache=os.path.relpath(cache.resolve(), folder.resolve()),
        device=device,
        texts=proxy.texts,
        durations_s=proxy.durations_s,
        speakers=proxy.speakers,
        normaliser=normaliser,
    )
    (folder / RECORD).write_text(json.dumps(asdict(record)))
    (folder / PROBLEM).write_text(json.dumps(problem_json.to_json(problem)))


def database_of(folder: Path) -> Path:
    """The file of the evaluations that were made in the workspace in `folder`."""
    return (folder / read_record(folder).cache).resolve()


def own_files(folder: Path) -> list[Path]:
    """The files of the workspace in `folder`, all but workspace.json."""
    return [folder / PROBLEM, *judged_files(folder)]


def judged_files(folder: Path) -> list[Path]:
    """Those on which judgements depend: factors and proxy set."""
    return [*_factors(folder), folder / PROXY]


def read_record(folder: Path) -> WorkspaceRecord:
    """The content of workspace.json in `folder`."""
    return WorkspaceRecord(**json.loads((folder / RECORD).read_text()))


def read_problem(folder: Path) -> CompressionProblem:
    """The decision problem of the workspace in `folder`."""
    return problem_json.from_json(json.loads((folder / PROBLEM).read_text()))


class StoredDecompositions(Mapping[str, Decomposition]):
    """The decomposition of every layer, by name: each is mapped when it is asked for and while it is held, no longer.

    So a model is factorized with one of them in memory at a time. `dict` of this holds them all, for who asks often.
    """

    def __init__(self, folder: Path) -> None:
        """Those of the workspace in `folder`; only the names are read."""
        self._paths: dict[str, Path] = {}
        self._followers: dict[str, str] = {}
        for path in _factors(folder):
            with safe_open(path, framework="pt") as file:
                names = {key.rpartition("/")[0]: path for key in file.keys()}  # noqa: SIM118
                self._paths |= names
                if leader := (file.metadata() or {}).get(LEADER):
                    self._paths[leader] = path
                    (self._followers[leader],) = names

    def __getitem__(self, layer: str) -> Decomposition:
        tensors = load_file(self._paths[layer])
        layer = self._followers.get(layer, layer)
        like = tensors[f"{layer}/down"].new_zeros(tensors[f"{layer}/down"].shape[1])
        of_inputs = {"mean": like, "root": like.new_empty(0, 0)}  # older jobs wrote none
        names = {f"{layer}/{part.name}": part.name for part in fields(Decomposition)}
        found = {names[key]: part for key, part in tensors.items() if key in names}
        return Decomposition(**{**of_inputs, **found})

    def __contains__(self, layer: object) -> bool:
        return layer in self._paths  # by default, it would be read

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def read_proxy(folder: Path) -> Dataset:
    """The utterances that plans are judged on."""
    record = read_record(folder)
    tensors = load_file(folder / PROXY)
    features = [tensors[str(i)] for i in range(len(tensors))]
    return Dataset(features, record.texts, record.durations_s, record.speakers)


def _factors(folder: Path) -> list[Path]:
    return sorted(folder.glob(FACTORS))
