"""Problems whose best plan is known, which an agent must be able to find."""

from collections.abc import Callable

from envs.toys.dropping_toy import dropping
from envs.toys.mixed_toy import mixed
from envs.toys.rank_toys import coupled, recogniser, separable
from envs.toys.toy import Toy, telling

__all__ = ["RANK_TOYS", "TOYS", "Toy", "coupled", "dropping", "mixed", "recogniser", "separable", "telling"]

RANK_TOYS: dict[str, Callable[[], Toy]] = {"separable": separable, "coupled": coupled, "recogniser": recogniser}
TOYS: dict[str, Callable[[], Toy]] = {**RANK_TOYS, "mixed": mixed, "dropping": dropping}
