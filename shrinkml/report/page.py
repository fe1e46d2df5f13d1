"""The report as one HTML page that needs no network: its figures, plotly's own script and the style are all inside."""

from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from shrinkml.report.facts import facts
from shrinkml.report.figures import figures
from shrinkml.report.goal_words import headline
from shrinkml.report.menu_cells import alone_in_words, menu_cells
from shrinkml.report.record import Report, Sample
from shrinkml.report.search_words import optimism, stopped_early, verdict
from shrinkml.report.speed_table import RUNTIME_COLUMNS, runtime_cells
from shrinkml.report.wording import percent

Marked = list[tuple[str, bool]]  # words, each with True where it is wrong


class MarkedSample(NamedTuple):
    """A sample whose transcripts say which of their words are wrong."""

    reference: str
    baseline: Marked
    result: Marked


def render(report: Report) -> str:
    """The page of `report`; every text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = percent
    return environment.get_template("page.html").render(
        report=report,
        headline=headline(report),
        verdict=verdict(report),
        stopped_early=stopped_early(report),
        optimism=optimism(report),
        facts=facts(report),
        alone=alone_in_words(report),
        menus=menu_cells(report),
        runtime_columns=RUNTIME_COLUMNS,
        runtimes=runtime_cells(report),
        figures=figures(report),
        samples=[_marked_sample(sample) for sample in report.samples],
        job=yaml.safe_dump(dict(report.job), sort_keys=False, allow_unicode=True),
        plotly=Markup(get_plotlyjs()),
    )


def marked(reference: str, hypothesis: str) -> Marked:
    """The words of `hypothesis`, each with True where it is wrong."""
    heard, said = hypothesis.split(), reference.split()
    right: set[int] = set()
    for match in SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks():
        right.update(range(match.b, match.b + match.size))
    return [(word, index not in right) for index, word in enumerate(heard)]


def _marked_sample(sample: Sample) -> MarkedSample:
    said = sample.reference
    return MarkedSample(said, marked(said, sample.baseline), marked(said, sample.result))
