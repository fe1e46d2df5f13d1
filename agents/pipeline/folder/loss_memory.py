"""Losses of plans in the cache that outlives a job: of one model, its factors, and the utterances that were heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.pipeline.folder.lasting_cache import LastingCache, key_of
from shrinkml.storage import checkpoint

if TYPE_CHECKING:
    from agents.pipeline.materials import Materials

KIND = "loss"
VERSION = 1  # of how losses are measured


@dataclass(frozen=True, slots=True)
class LossMemory:
    """Implements `agents.search.look.recalled_losses.Memory`.

    Attributes:
        cache: of everything.
        context: all that the losses depend on beside the plan.
    """

    cache: LastingCache
    context: str

    @classmethod
    def of(cls, materials: "Materials", n_heard: int, *, start: Path, factorizer: str) -> "LossMemory":
        """The memory of looks at the checkpoint `start` on `n_heard` utterances of the calibration speech."""
        speech = materials.calibration
        heard = (speech.texts, [round(seconds, 3) for seconds in speech.durations_s])
        context = key_of(VERSION, checkpoint.inspect(start).digest, factorizer, n_heard, heard)
        return cls(materials.cache, context)

    def find(self, keys: list[str], /) -> Mapping[str, float]:
        """Key -> number, of those that are known."""
        known = self.cache.find(KIND, [f"{self.context}/{key}" for key in keys])
        return {key.rpartition("/")[2]: value for key, value in known.items()}

    def keep(self, values: Mapping[str, float], /) -> None:
        """Remember `values`."""
        self.cache.keep(KIND, {f"{self.context}/{key}": value for key, value in values.items()})
