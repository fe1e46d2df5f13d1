"""The base of recognisers of our own: one module that hears features and knows its tokens."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from shrinkml.models.heads import Heads
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.speech.spelling import Spelling


class HeardShape(Protocol):
    """A shape that tells what is heard."""

    @property
    def sample_rate_hz(self) -> int:
        """Of the audio."""


Shape = TypeVar("Shape", bound=HeardShape)


class TrainableRecogniser(nn.Module, Generic[Shape]):
    """A recogniser that is a module; its subclasses implement `AsrModel` with what is here."""

    family: ClassVar[str]
    longest_s: ClassVar[None] = None  # utterances of any length will do

    def __init__(self, config: Shape, tokenizer: Tokenizer) -> None:
        """A module without layers yet."""
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that `features` expects."""
        return self.config.sample_rate_hz

    @property
    def module(self) -> nn.Module:
        """The model itself."""
        return self

    def misfit(self, text: str) -> None:
        """None: every text can be written, words that are not known have a token of their own."""

    def spelling(self, text: str) -> Spelling:
        """The tokens of `text`, without the end."""
        return self.tokenizer.spelling(text)

    def forward(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The same as `teacher_forced`."""
        return self.teacher_forced(features, texts)

    @abstractmethod
    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """Scores for the reference `texts`."""
