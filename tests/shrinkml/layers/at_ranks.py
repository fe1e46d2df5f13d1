"""Choices of ranks, for the layers that tests make."""

from shrinkml.plan.choice import Choice


def at_ranks(**ranks: int) -> dict[str, Choice]:
    """Matrix -> the choice of that rank."""
    return {name: Choice(rank=rank) for name, rank in ranks.items()}
