"""The shape of a Transformer."""

from dataclasses import dataclass

from shrinkml.errors import ConfigError
from shrinkml.models.trainable.trainable_shape import TrainableShape


@dataclass(frozen=True, slots=True)
class TransformerConfig(TrainableShape):
    """The shape of a Transformer.

    Attributes:
        sample_rate_hz: of the audio it hears.
        n_mels: log-mel bins per 10 ms frame.
        hidden: units of every layer's input and output; even, and a multiple of `heads`.
        heads: of each attention.
        feed_forward: units inside each feed-forward block.
        reductions: for each convolution before the encoder, how many steps are joined by it (1 or 2).
        encoder_layers: layers of the encoder.
        shared: groups of encoder layers, counted from 0, that are one and the same, run at each of these places.
        decoder_layers: layers of the decoder.
        memory: steps that the memory block of each encoder layer filters, itself in the middle: odd; 0 for none.
        encoder_positions: whether positions are added to what the encoder hears.
        decoder_positions: whether positions are added to what the decoder is fed.
        dropout: of what every block adds, in training.
        ctc_weight: share of the CTC loss.
        label_smoothing: of the decoder's cross-entropy.
    """

    sample_rate_hz: int = 16_000
    n_mels: int = 40
    hidden: int = 128
    heads: int = 4
    feed_forward: int = 512
    reductions: tuple[int, ...] = (2, 2, 2)
    encoder_layers: int = 12
    shared: tuple[tuple[int, ...], ...] = ()
    decoder_layers: int = 3
    memory: int = 0
    encoder_positions: bool = True
    decoder_positions: bool = True
    dropout: float = 0.1
    ctc_weight: float = 0.3
    label_smoothing: float = 0.05

    called = "Transformer"

    def __post_init__(self) -> None:
        sizes = ("sample_rate_hz", "n_mels", "hidden", "heads", "feed_forward", "encoder_layers", "decoder_layers")
        self._refuse_below(1, sizes)
        self._refuse_below(0, ("memory",))
        self._refuse_reductions(self.reductions, "convolution")
        if self.hidden % 2 or self.hidden % self.heads:
            raise ConfigError(f"hidden is {self.hidden}; allowed: even multiples of heads ({self.heads})")
        if self.memory and not self.memory % 2:
            raise ConfigError(f"memory is {self.memory}; allowed: 0, or an odd number of steps")
        self._check_shared()

    @property
    def encoder_places(self) -> tuple[int, ...]:
        """For each place in the encoder, the first place of the layer that runs there."""
        first = {layer: min(group) for group in self.shared for layer in group}
        return tuple(first.get(layer, layer) for layer in range(self.encoder_layers))

    def _check_shared(self) -> None:
        layers = [layer for group in self.shared for layer in group]
        if len({*layers}) < len(layers) or not {*layers} <= {*range(self.encoder_layers)}:
            raise ConfigError(
                f"shared is {[list(group) for group in self.shared]}; allowed: groups of layers from 0 to "
                f"{self.encoder_layers - 1}, each layer in one group at most"
            )
