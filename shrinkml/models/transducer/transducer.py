"""A transducer with cascaded encoders: one decoder, read by a pass that streams and by one that looks ahead.

References:
    Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711.
    Narayanan et al. 2021, Cascaded encoders for unifying streaming and non-streaming ASR, arXiv:2010.14606.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from shrinkml.errors import ConfigError
from shrinkml.models.heads import IGNORE, Heads
from shrinkml.models.tokenizer import BLANK, Tokenizer
from shrinkml.models.trainable.trainable_recogniser import TrainableRecogniser
from shrinkml.models.trainable.trainable_shape import TrainableShape
from shrinkml.models.transducer.cascaded_encoder import CausalEncoder, Encoded, LookAheadEncoder
from shrinkml.models.transducer.greedy_decoding import begin, decode
from shrinkml.models.transducer.prediction import LstmPrediction, Prediction, TiedReducedPrediction
from shrinkml.models.transducer.transducer_family import TRANSDUCER
from shrinkml.models.transducer.transducer_head import TAUGHT, TransducerHead
from shrinkml.speech.features import CENTRED, PCM16_SCALE, log_mel

LOOK_AHEAD, STREAMING = "look_ahead", "streaming"  # names of the passes, and of their heads

# Log-mel energy: Kaldi's own floor where samples lie in [-1, 1], as programs for devices have them; ours are 16-bit.
QUIETEST = math.log(np.finfo(np.float32).eps * PCM16_SCALE**2)
LEVEL, SPREAD = 14.0, 5.0  # about the mean and the deviation of the log-mel energies of speech in 16-bit samples


@dataclass(frozen=True, slots=True)
class TransducerConfig(TrainableShape):
    """The shape of a transducer.

    Attributes:
        sample_rate_hz: of the audio it hears.
        n_mels: log-mel bins per 10 ms frame.
        stack: frames joined into one step of the first causal layer.
        hidden: units of each causal layer.
        reductions: for each causal layer, how many steps are joined before it (1 or 2).
        look_ahead: units of each direction of the layer that hears all of an utterance; 0 for none.
        prediction: "lstm", or "tied" for the tied-and-reduced network.
        embedding: size of a label's vector, of an LSTM.
        decoder: units of the LSTM.
        context: last labels that a tied network knows.
        heads: sets of its weights.
        joint: units of the joint network.
        dropout: between layers, in training.
        streaming_weight: share of the streaming pass in the loss.
        taught: what its students learn of the nodes of a lattice, "collapsed" or "whole".
    """

    sample_rate_hz: int = 16_000
    n_mels: int = 80
    stack: int = 4
    hidden: int = 256
    reductions: tuple[int, ...] = (1, 2, 1)
    look_ahead: int = 128
    prediction: str = "lstm"
    embedding: int = 64
    decoder: int = 192
    context: int = 5
    heads: int = 4
    joint: int = 256
    dropout: float = 0.2
    streaming_weight: float = 0.5
    taught: str = "collapsed"

    called = "transducer"

    def __post_init__(self) -> None:
        sizes = ("sample_rate_hz", "n_mels", "stack", "hidden", "embedding", "decoder", "context", "heads", "joint")
        self._refuse_below(1, sizes)
        self._refuse_below(0, ("look_ahead",))
        self._refuse_reductions(self.reductions, "causal")
        if self.prediction not in PREDICTIONS:
            raise ConfigError(f"prediction is {self.prediction!r}; allowed: {', '.join(PREDICTIONS)}")
        if self.taught not in TAUGHT:
            raise ConfigError(f"taught is {self.taught!r}; allowed: {', '.join(TAUGHT)}")


def _lstm(config: TransducerConfig, output: nn.Linear) -> Prediction:
    return LstmPrediction(output.out_features, config.embedding, config.decoder, config.joint, config.dropout)


def _tied(config: TransducerConfig, output: nn.Linear) -> Prediction:
    return TiedReducedPrediction(output, config.context, config.heads)


PREDICTIONS = {"lstm": _lstm, "tied": _tied}


class Transducer(TrainableRecogniser[TransducerConfig]):
    """A transducer of one or two passes; implements `AsrModel`."""

    family = TRANSDUCER.name

    def __init__(self, config: TransducerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.causal = CausalEncoder(config.n_mels, config.stack, config.hidden, config.reductions, config.dropout)
        self.look_ahead = (
            LookAheadEncoder(config.hidden, config.look_ahead, config.dropout) if config.look_ahead else None
        )
        self.encoded = nn.Linear(config.hidden, config.joint)
        self.output = nn.Linear(config.joint, len(tokenizer))
        self.prediction = PREDICTIONS[config.prediction](config, self.output)

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, n_mels] log-mel of `waveform`, scaled by constants: a stream knows nothing of what is to come."""
        return scaled(log_mel(waveform, self.sample_rate_hz, n_mels=self.config.n_mels, framing=CENTRED))

    def teacher_forced(self, features: Sequence[Tensor], texts: Sequence[str]) -> Heads:
        """The lattices of both passes for the reference `texts`, that which looks ahead first."""
        labels = [torch.tensor(self.tokenizer.encode(text), dtype=torch.long) for text in texts]
        targets = pad_sequence(labels, batch_first=True, padding_value=IGNORE).to(self.output.weight.device)
        predicted = self.prediction(targets.clamp(min=0))

        def head(heard: Encoded) -> TransducerHead:
            counts = heard.counts.to(targets.device)
            nodes = self.encoded(heard.states), predicted
            return TransducerHead(self.score, *nodes, targets, counts, BLANK, self.config.taught)

        return {name: head(heard) for name, heard in self.passes(features).items()}

    def loss(self, heads: Heads) -> Tensor:
        """The losses of both passes, mixed; per label."""
        streaming, share = heads[STREAMING].loss(), self.config.streaming_weight
        return (1 - share) * heads[LOOK_AHEAD].loss() + share * streaming if LOOK_AHEAD in heads else streaming

    @torch.inference_mode()
    def transcribe(self, features: Sequence[Tensor], *, beam: int = 1) -> list[str]:
        """One transcript per utterance by the best pass, decoded as one batch.

        Raises:
            ConfigError: a beam; decoding is greedy.
        """
        if beam != 1:
            raise ConfigError(f"beam {beam}; a transducer is read greedily, allowed: 1")
        heard = next(iter(self.passes(features).values()))
        return self.read(heard)

    def passes(self, features: Sequence[Tensor]) -> dict[str, Encoded]:
        """The encoders' states of each pass, first of that which looks ahead, if there is one."""
        heard = self.causal(features)
        return {**({} if self.look_ahead is None else {LOOK_AHEAD: self.look_ahead(heard)}), STREAMING: heard}

    def first_pass(self) -> "Transducer":
        """The streaming pass as a recogniser of its own, which shares all weights."""
        alone = copy.copy(self)
        alone._modules = {**self._modules, "look_ahead": None}
        alone.config = replace(self.config, look_ahead=0)
        return alone

    def read(self, heard: Encoded) -> list[str]:
        """The greedy transcripts of what an encoder heard."""
        encoded, memory = self.encoded(heard.states), begin(self.prediction, len(heard.states))
        said, _ = decode(self.prediction, self.score, encoded, heard.counts, memory, blank=BLANK)
        return [self.tokenizer.decode(labels) for labels in said]

    def score(self, joined: Tensor) -> Tensor:
        """Logits [..., vocabulary] of encoded + predicted [..., joint]."""
        logits: Tensor = self.output(joined.tanh())
        return logits


def scaled(mel: np.ndarray) -> Tensor:
    """`mel` [frames, n_mels] as the encoder takes it: about zero, with a deviation of about one."""
    return (torch.from_numpy(mel).clamp(min=QUIETEST) - LEVEL) / SPREAD
