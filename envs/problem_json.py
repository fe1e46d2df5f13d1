"""The JSON of a problem: what its searches read in other processes, and after a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from envs.decision import Decision, Option
from envs.problem import CompressionProblem
from envs.rank_options import rank_problem, with_rank_losses
from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import PriceList

Json = dict[str, Any]


def to_json(problem: CompressionProblem) -> Json:
    """`problem` as plain JSON values."""
    return {
        "decisions": [_decision_to_json(decision) for decision in problem.decisions],
        "other": asdict(problem.other),
        "prices": problem.prices.to_json(),
        "compression_ratio": problem.compression_ratio,
        "baseline_wer": problem.baseline_wer,
        "tokens_per_utterance": problem.tokens_per_utterance,
    }


def from_json(value: Mapping[str, Any]) -> CompressionProblem:
    """The problem that `to_json` wrote, or an older version that knew ranks alone."""
    if "menus" in value:
        return _of_ranks(value)
    return CompressionProblem(
        decisions=tuple(map(_decision_from_json, value["decisions"])),
        other=Cost(**value["other"]),
        prices=PriceList.from_json(value["prices"]),
        compression_ratio=value["compression_ratio"],
        baseline_wer=value["baseline_wer"],
        tokens_per_utterance=value["tokens_per_utterance"],
    )


def _option_to_json(option: Option) -> Json:
    return {**asdict(option), "choice": option.choice.to_json()}


def _option_from_json(value: Mapping[str, Any]) -> Option:
    return Option(**{**value, "choice": Choice.from_json(value["choice"]), "cost": Cost(**value["cost"])})


def _decision_to_json(decision: Decision) -> Json:
    return {
        "name": decision.name,
        "kind": decision.kind,
        "shape": decision.shape,
        "options": list(map(_option_to_json, decision.options)),
        "energy": decision.energy,
        "left_out": list(map(_option_to_json, decision.left_out)),
        "follower": decision.follower,
        **({} if decision.record is None else {"record": asdict(decision.record)}),
        "parent": decision.parent,
    }


def _decision_from_json(value: Mapping[str, Any]) -> Decision:
    rows, columns = value["shape"]
    options = tuple(map(_option_from_json, value["options"]))
    left_out = tuple(map(_option_from_json, value["left_out"]))
    follower, parent = value.get("follower"), value.get("parent")  # older problems had none
    record = LayerSpec(**value["record"]) if "record" in value else None
    known = value["name"], value["kind"], (rows, columns), options, value["energy"]
    return Decision(*known, left_out, follower, record, parent)


def _of_ranks(value: Mapping[str, Any]) -> CompressionProblem:
    """The problem of a job that was begun when problems held menus, spectra and divergences in nats per utterance.

    An utterance counts as one token: what was tuned for losses per utterance finds the same plans as before.
    """
    layers = tuple(LayerSpec(**layer) for layer in value["layers"])
    n_others = value["other_parameters"]
    cut: Mapping[str, Sequence[int]] = value.get("cut", {})
    problem = rank_problem(
        ModelCost(layers, Cost(n_others, 4 * n_others)),  # no job so old asks for the bytes
        menus={name: (*sorted({*menu[:-1], *cut.get(name, ())}), menu[-1]) for name, menu in value["menus"].items()},
        prices=PriceList.from_json(value["prices"]),
        compression_ratio=value["compression_ratio"],
        spectra=value["spectra"],
        baseline_wer=value["baseline_wer"],
    )
    if value["divergences"]:
        problem = with_rank_losses(problem, value["divergences"], tokens_per_utterance=1.0)
    return replace(problem, decisions=tuple(_without(it, cut.get(it.name, ())) for it in problem.decisions))


def _without(decision: Decision, ranks: Sequence[int]) -> Decision:
    left_out = tuple(option for option in decision.options if option.choice.rank in ranks)
    options = tuple(option for option in decision.options if option not in left_out)
    return replace(decision, options=options, left_out=left_out)
