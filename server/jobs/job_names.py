"""The fields of a job that name an entry of a table, checked and described by the tables themselves. Loads no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.pipeline.exports.export_table import EXPORTS
from agents.strategies.strategies import STRATEGIES
from envs.rewards import REWARDS
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.errors import UnknownNameError
from shrinkml.job import JobSpec
from shrinkml.speech.normalisers import NORMALISERS
from shrinkml.tables import look_up


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field of a job that takes names from a table.

    Attributes:
        path: of the field, with dots ("search.strategy").
        kind: of the entries, for messages.
        table: name -> entry.
        words: name -> the entry in words, where its name says too little.
    """

    path: str
    kind: str
    table: Mapping[str, object]
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> str:
        """The names of the table, one behind the other, with their words."""
        return ", ".join(f"{name} ({self.words[name]})" if name in self.words else name for name in self.table)

    def given(self, spec: JobSpec) -> Iterator[tuple[str, str]]:
        """Every name that `spec` has there, behind its own path: a field may hold several."""
        value: Any = spec
        for part in self.path.split("."):
            value = getattr(value, part)
        if isinstance(value, str):
            yield self.path, value
        else:
            yield from ((f"{self.path}.{index}", name) for index, name in enumerate(value))


NAMED_FIELDS = (
    NamedField("search.strategy", "strategy", STRATEGIES),
    NamedField("search.baselines", "strategy", STRATEGIES),
    NamedField("search.reward", "reward", REWARDS),
    NamedField("factorizer", "factorizer", FACTORIZERS),
    NamedField("normaliser", "normaliser", NORMALISERS),
    NamedField("export", "export", EXPORTS, {name: export.words for name, export in EXPORTS.items()}),
)


def check_names(spec: JobSpec, *, told: int = 20) -> None:
    """That the tables hold every name in `spec`.

    Raises:
        UnknownNameError: some they do not; the message lists the first `told` of them, and counts the others.
    """
    problems = []
    for named in NAMED_FIELDS:
        for path, name in named.given(spec):
            try:
                look_up(named.table, name, kind=named.kind)
            except UnknownNameError as error:
                problems.append(f"{path}: {error}")
    if problems:
        more = [f"and {len(problems) - told} more"] if len(problems) > told else []
        raise UnknownNameError("\n".join([*problems[:told], *more]))


def describe_names(components: Mapping[str, Any]) -> None:
    """Add the names that each field takes to its description in `components`, the schemas of an OpenAPI document."""
    for named in NAMED_FIELDS:
        *parents, name = named.path.split(".")
        schema = components[JobSpec.__name__]
        for parent in parents:
            schema = components[schema["properties"][parent]["$ref"].rpartition("/")[2]]
        described = schema["properties"][name]
        described["description"] += f" Known: {named.known}."
