"""The time that each layer of a recogniser takes at each rank, here and now: the price list of a search for speed.

What every module is called with is recorded while the model transcribes one utterance after the other. The calls are
then repeated in their order, by modules whose matrices have the ranks of their menus, in the form that a compressed
model has there (recurrent layers through the compiled kernel). All modules run at about the same place of their menus,
since what a layer takes depends on what the others leave of the processor's caches: timed one by one, the layers of
`reference/las` had 75 % of its time, in turns 90 %.

Times are the processor's, of one thread, so that other processes count little. That a plan takes the sum of its layers'
times is an estimate (NetAdapt's: Yang et al. 2018, arXiv:1804.03230): of `reference/las` with uniform ranks, 2, 3 and 5
times smaller, 1.99, 2.78 and 3.71 times as fast; then measured, 2.02, 2.66 and 3.88. Of three plans that were searched
it foresaw 2.20, 2.65 and 3.00, where 2.50, 3.04 and 3.32 were measured. It does not know that

- a compressed model may stop decoding earlier or later; what the original takes beyond its modules (attention, the
  decoding loop) is the price of everything else, for any plan;
- a module of several matrices is timed with all but one in the middle of their menus: what they save together differs
  from the sum, most where it stays dense as a whole and runs as torch's own.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.compression.sites import NO_PAIRS, Pairs, sites_by_module
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.measure.speed import ready_to_time
from shrinkml.measure.timed_place import Menu, Place, Ready, Times, first_columns, middle
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.prices import PriceList
from shrinkml.plan.site_prices import LEAST, FedColumns, SitePrices

ROUNDS = 5  # the median of which counts
NS_PER_S = 1e9
NO_UNITS: Mapping[str, Sequence[int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the module of `places[place]`."""

    place: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@torch.inference_mode()
def latency_prices(
    model: AsrModel,
    features: Sequence[Tensor],
    audio_s: float,
    menus: Mapping[str, Menu],
    *,
    units: Mapping[str, Sequence[int]] = NO_UNITS,
    pairs: Pairs = NO_PAIRS,
    rounds: int = ROUNDS,
    should_stop: ShouldStop = lambda: False,
) -> PriceList:
    """Measure the time that plans of `model` take, in nanoseconds of one thread per second of audio, at batch 1.

    Args:
        model: on the CPU; ratios count from it as it is.
        features: [frames, dims] of each utterance; a few that stand for the rest. In each round the work of
            transcribing them is done once for every menu entry, and recurrent modules' once for each matrix too.
        audio_s: seconds of them all.
        menus: layer -> the ranks to time it at, ascending, None (dense) last where it is dense.
        units: layer of `pairs` -> numbers of units to time it at, ascending; such layers are timed at no rank.
        pairs: layers whose units may be cut -> their followers.
        rounds: of timing.
        should_stop: asked often.

    Raises:
        StoppedError: `should_stop` said so.
    """
    with ready_to_time([model], threads=1):
        places = _places(model.module, menus, units, pairs)
        calls = _recorded(model, features, places)
        present, other, samples = _timed(model, features, places, calls, rounds, should_stop)
    scale = NS_PER_S / audio_s
    times: dict[str, dict[Choice, float]] = {}
    fed: dict[str, FedColumns] = {}
    for place, curves in zip(places, samples, strict=True):
        for layer, own in place.priced(curves, _own_shares):
            so_far = times.setdefault(layer, dict.fromkeys(own, 0.0))  # tied layers stand at several
            for choice, seconds in own.items():
                so_far[choice] += scale * seconds
        fed |= place.fed_columns(curves, scale)
    sites = {site: _site_prices(found, fed.get(site)) for site, found in times.items()}
    return PriceList("latency", sites, round(scale * other), round(scale * (other + present)))


def _places(
    module: nn.Module, menus: Mapping[str, Menu], units: Mapping[str, Sequence[int]], pairs: Pairs
) -> list[Place]:
    return [Place.of(holder, sites, menus, units, pairs) for holder, sites in sites_by_module(module).items()]


def _recorded(model: AsrModel, features: Sequence[Tensor], places: Sequence[Place]) -> list[Call]:
    """The calls of all modules in their order; of one module and with one shape, all with the first one's inputs."""
    calls: list[Call] = []
    known: dict[object, Call] = {}

    def recorder(place: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def record(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            shapes = tuple(_shapes((args, *kwargs.values())))
            calls.append(known.setdefault((place, shapes), Call(place, args, kwargs)))

        return record

    with ExitStack() as hooks:
        for number, place in enumerate(places):
            hooks.enter_context(place.module.register_forward_pre_hook(recorder(number), with_kwargs=True))
        for utterance in features:
            model.transcribe([utterance])
    return calls


def _shapes(values: Sequence[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, Tensor):
            yield tuple(value.shape)
        elif isinstance(value, tuple | list):  # packed sequences too
            yield tuple(_shapes(value))


Samples = list[dict[str, dict[int | None, float]]]  # for each place: matrix -> rank -> seconds


def _timed(
    model: AsrModel,
    features: Sequence[Tensor],
    places: Sequence[Place],
    calls: Sequence[Call],
    rounds: int,
    should_stop: ShouldStop,
) -> tuple[float, float, Samples]:
    """Medians over the rounds: seconds of the modules as they are, of everything else, of each module at every rank."""
    n_levels = max(len(menu) for place in places for menu in place.menus.values())
    n_turns = max(len(place.menus) for place in places)
    present, other = [], []
    samples: list[dict[str, dict[int | None, list[float]]]] = [
        {matrix: {rank: [] for rank in menu} for matrix, menu in place.menus.items()} for place in places
    ]
    for _ in range(rounds):
        for level in range(n_levels):
            whole = _seconds(lambda: [model.transcribe([utterance]) for utterance in features])
            present.append(sum(_replay([Ready(place.module, None) for place in places], calls)))
            other.append(whole - present[-1])
            for turn in range(n_turns):
                if should_stop():
                    raise StoppedError("stopped while layers were timed")
                varied = [_varied(place, turn, level / max(1, n_levels - 1)) for place in places]
                modules = [place.at(*choice) for place, choice in zip(places, varied, strict=True)]
                for curves, (matrix, rank), seconds in zip(samples, varied, _replay(modules, calls), strict=True):
                    curves[matrix][rank].append(seconds)
    medians = [
        {matrix: {rank: statistics.median(found) for rank, found in curve.items()} for matrix, curve in curves.items()}
        for curves in samples
    ]
    return statistics.median(present), max(0.0, statistics.median(other)), medians


def _varied(place: Place, turn: int, level: float) -> tuple[str, int | None]:
    """Whose turn it is among the matrices of `place`, and its rank at `level` (0 to 1) of its menu."""
    matrix = list(place.menus)[turn % len(place.menus)]
    menu = place.menus[matrix]
    return matrix, menu[round(level * (len(menu) - 1))]


def _replay(modules: Sequence[Ready], calls: Sequence[Call]) -> list[float]:
    """Seconds that each of `modules`, one for each place, takes for its `calls`, after a few that are not counted."""
    for call in calls[: len(calls) // 8]:
        ready = modules[call.place]
        ready.module(*first_columns(call.args, ready.columns), **call.kwargs)
    seconds = [0.0] * len(modules)
    for call in calls:
        module, columns = modules[call.place]
        args = first_columns(call.args, columns)
        start = time.thread_time()
        module(*args, **call.kwargs)
        seconds[call.place] += time.thread_time() - start
    return seconds


def _seconds(work: Callable[[], object]) -> float:
    """The processor's time of this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _own_shares(curves: Mapping[str, Times]) -> dict[str, dict[int | None, float]]:
    """The share of each matrix in a module's time, at each of its ranks.

    What a matrix adds to the lowest rank of its menu is its own; what the module would take with all at their lowest is
    shared equally. A matrix that is alone has all.
    """
    rising = {name: _rising(times) for name, times in curves.items()}
    together = statistics.fmean(times[middle(tuple(times))] for times in rising.values())
    lowest = {name: next(iter(times.values())) for name, times in rising.items()}
    left = together - sum(times[middle(tuple(times))] - lowest[name] for name, times in rising.items())
    share = max(0.0, left) / len(rising)
    return {
        name: {rank: seconds - lowest[name] + share for rank, seconds in times.items()}
        for name, times in rising.items()
    }


def _rising(times: Times) -> dict[int | None, float]:
    """`times`, falling with the rank nowhere: the nearest such ones in least squares, for what falls is noise.

    Pool-adjacent-violators (Ayer et al. 1955, An empirical distribution function for sampling with incomplete
    information). A layer that is not factorized may take less than one that is.
    """
    pools: list[tuple[float, int]] = []
    for rank, seconds in times.items():
        mean, size = seconds, 1
        while rank is not None and pools and pools[-1][0] >= mean:
            before, n_before = pools.pop()
            mean, size = (mean * size + before * n_before) / (size + n_before), size + n_before
        pools.append((mean, size))
    return dict(zip(times, (mean for mean, size in pools for _ in range(size)), strict=True))


def _site_prices(times: Mapping[Choice, float], fed: FedColumns | None) -> SitePrices:
    prices = {choice: max(LEAST, round(ns)) for choice, ns in times.items()}
    known = {it.rank: price for it, price in prices.items() if it.rank is not None and it == Choice(rank=it.rank)}
    others = {it: price for it, price in prices.items() if it.rank not in known and it != DENSE}
    known = known or {1: prices[next(reversed(prices))]}
    ranks, at_ranks = tuple(known), tuple(known.values())
    return SitePrices(ranks, at_ranks, prices.get(DENSE, at_ranks[-1]), others, fed)
