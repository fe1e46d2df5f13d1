"""The common part of recurrent layers: matrices, biases, packing, stacked layers and directions."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from shrinkml.layers.adapter import Arguments, Inputs, Matrices
from shrinkml.layers.form_layer import FormLayer
from shrinkml.layers.kernel.packed import previous_states
from shrinkml.plan.choice import Choice
from shrinkml.weights.form import Form
from shrinkml.weights.forms import get_form

OPTIONS = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")

States = tuple[Tensor, ...]  # the hidden state, and what else a kind of layer keeps from step to step


class LayerRun(NamedTuple):
    """The work of one layer of a stack.

    Attributes:
        input: [frames, in], the frames of each time step together, longest sequence first.
        batch_sizes: [time], sequences at each step.
        initial: states before the first step, each [directions, batch, units].
        output: [frames, directions * units].
        final: states after each sequence's last step.
    """

    input: Tensor
    batch_sizes: Tensor
    initial: States
    output: Tensor
    final: States


class FormRecurrent(FormLayer):
    """A recurrent layer, its parameters named and ordered as torch's.

    Where units are cut, outputs are narrower. States keep their size, with zeros behind the units that are left.

    Args:
        input_size: features of the input.
        hidden_size: units per direction.
        choices: of the matrices ("weight_ih_l0", "weight_hh_l0_reverse"); what is not named stays dense.
        num_layers: layers stacked on each other.
        bias: whether gates have torch's two biases.
        batch_first: whether tensors are [batch, time, features] and not [time, batch, features].
        dropout: probability between stacked layers, in training.
        bidirectional: whether a second direction reads each sequence from its end.

    Attributes:
        n_gates: blocks of `hidden_size` rows in each matrix.
        n_states: tensors that it keeps from step to step.
        mode: torch's name of the kind of layer.
    """

    n_gates: ClassVar[int]
    n_states: ClassVar[int]
    mode: ClassVar[str]
    proj_size = 0

    # Torch's own, for code that asks a recurrent layer about its states.
    get_expected_hidden_size = nn.RNNBase.get_expected_hidden_size
    check_hidden_size = nn.RNNBase.check_hidden_size

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        choices: Mapping[str, Choice],
        *,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        rows = self.n_gates * hidden_size
        for layer in range(num_layers):
            n_in = input_size if layer == 0 else hidden_size * len(self.suffixes(0))
            for suffix in self.suffixes(layer):
                self.hold(f"weight_ih_{suffix}", (rows, n_in), choices)
                self.hold(f"weight_hh_{suffix}", (rows, hidden_size), choices)
                if bias:
                    n_left = self.n_gates * self.units(suffix)
                    for name in (f"bias_ih_{suffix}", f"bias_hh_{suffix}"):
                        self.register_parameter(name, nn.Parameter(torch.zeros(n_left)))

    @classmethod
    def of(cls, layer: nn.RNNBase | Self) -> Self:
        """The recurrent layer `layer` as one of this type; one made from torch's own shares its parameters."""
        if isinstance(layer, cls):
            return layer
        options: dict[str, Any] = {name: getattr(layer, name) for name in OPTIONS}
        with torch.device("meta"):
            same = cls(layer.input_size, layer.hidden_size, {}, **options)
        for name, parameter in layer.named_parameters():
            setattr(same, name, parameter)
        return same.train(layer.training)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Of each layer and direction the dense matrices and the biases, as torch lists them."""
        kinds = [
            f"{part}_{kind}" for part in ("weight", "bias") if part == "weight" or self.bias for kind in ("ih", "hh")
        ]
        ends = [suffix for layer in range(self.num_layers) for suffix in self.suffixes(layer)]
        return [[getattr(self, f"{kind}_{end}") for kind in kinds] for end in ends]

    def flatten_parameters(self) -> None:
        """Nothing: what torch's layers do for cuDNN, which multiplies no factors."""

    def suffixes(self, layer: int) -> tuple[str, ...]:
        """The ends of the parameter names of each direction of `layer`."""
        return suffixes(self, layer)

    def units(self, suffix: str) -> int:
        """The units that are left of one direction of a layer."""
        n_left = self.held[f"weight_hh_{suffix}"].choice.outputs
        return self.hidden_size if n_left is None else n_left // self.n_gates

    def run(self, input: Tensor | PackedSequence, states: States | None) -> tuple[Tensor | PackedSequence, States]:
        """The last layer's outputs, and the final states of every layer and direction."""
        runs = list(self.run_layers(input, states))
        final = tuple(torch.cat(parts) for parts in zip(*(run.final for run in runs), strict=True))
        output = runs[-1].output
        if isinstance(input, PackedSequence):
            final = _reordered(final, input.unsorted_indices)
            return PackedSequence(output, input.batch_sizes, input.sorted_indices, input.unsorted_indices), final
        if input.dim() == 2:
            return output, tuple(state.squeeze(1) for state in final)
        output = output.view(-1, final[0].shape[1], output.shape[-1])
        return output.transpose(0, 1) if self.batch_first else output, final

    def run_layers(self, input: Tensor | PackedSequence, states: States | None = None) -> Iterator[LayerRun]:
        """Each layer in turn, as it works in `run`."""
        x, batch_sizes, states = self._packed(input, states)
        n_directions = len(self.suffixes(0))
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            here = slice(layer * n_directions, (layer + 1) * n_directions)
            initial = tuple(state[here] for state in states)
            output, final = self._run_layer(layer, x, batch_sizes, initial)
            yield LayerRun(x, batch_sizes, initial, output, final)
            x = output

    def _packed(self, input: Tensor | PackedSequence, states: States | None) -> tuple[Tensor, Tensor, States]:
        """Frames [frames, in] ordered by time, sequences at each step [time], and initial states in that order."""
        if isinstance(input, PackedSequence):
            x, batch_sizes = input.data, input.batch_sizes
            states = None if states is None else _reordered(states, input.sorted_indices)
        else:
            if input.dim() == 2:
                input = input.unsqueeze(1)
                states = None if states is None else tuple(state.unsqueeze(1) for state in states)
            elif self.batch_first:
                input = input.transpose(0, 1)
            x, batch_sizes = input.flatten(0, 1), torch.full((input.shape[0],), input.shape[1])
        if states is None:
            zeros = x.new_zeros(self.num_layers * len(self.suffixes(0)), int(batch_sizes[0]), self.hidden_size)
            states = (zeros,) * self.n_states
        return x, batch_sizes, states

    def _run_layer(self, layer: int, x: Tensor, batch_sizes: Tensor, initial: States) -> tuple[Tensor, States]:
        """One layer, all directions: outputs [frames, directions * units] and the final states."""
        results = []
        for direction, suffix in enumerate(self.suffixes(layer)):
            weights = get_form(self, f"weight_ih_{suffix}"), get_form(self, f"weight_hh_{suffix}")
            biases = [self.get_parameter(f"bias_{kind}_{suffix}") for kind in ("ih", "hh") if self.bias]
            states = tuple(state[direction, :, : self.units(suffix)] for state in initial)
            results.append(self.run_direction(x, batch_sizes, *weights, biases, states, reverse=direction == 1))
        outputs, *final = zip(*results, strict=True)
        return torch.cat(outputs, 1), tuple(torch.stack([*map(self._widened, state)]) for state in final)

    def _widened(self, state: Tensor) -> Tensor:
        """The `state` [batch, units] of a direction as it goes in and out of the layer, [batch, hidden_size]."""
        return F.pad(state, (0, self.hidden_size - state.shape[1]))

    @abstractmethod
    def run_direction(
        self,
        x: Tensor,
        batch_sizes: Tensor,
        weight_in: Form,
        weight_hidden: Form,
        biases: Sequence[Tensor],
        states: States,
        *,
        reverse: bool,
    ) -> States:
        """Run one direction of a layer over packed sequences.

        Args:
            x: [frames, in].
            batch_sizes: [time], sequences still running at each step.
            weight_in: [gates * units, in].
            weight_hidden: [gates * units, units].
            biases: torch's two [gates * units], or none.
            states: the initial ones, each [batch, units].
            reverse: whether time runs backwards.

        Returns:
            Outputs [frames, units], and each state after each sequence's last step, [batch, units].
        """

    def extra_repr(self) -> str:
        """The shape and the choices, for `print`."""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, {self.shown_choices()}"


def suffixes(module: nn.RNNBase | FormRecurrent, layer: int) -> tuple[str, ...]:
    """The ends of the parameter names of each direction of `layer`."""
    return (f"l{layer}", f"l{layer}_reverse") if module.bidirectional else (f"l{layer}",)


def arguments(module: nn.RNNBase | FormRecurrent) -> Arguments:
    """The arguments of a recurrent layer, for its adapter."""
    return (module.input_size, module.hidden_size), {name: getattr(module, name) for name in OPTIONS}


def matrices(module: nn.RNNBase | FormRecurrent) -> Matrices:
    """The matrices of a recurrent layer, for its adapter: none where it projects its state."""
    if module.proj_size:
        return
    for layer in range(module.num_layers):
        for suffix in suffixes(module, layer):
            yield f"weight_ih_{suffix}", "lstm_input"
            yield f"weight_hh_{suffix}", "lstm_recurrent"


def inputs(module: FormRecurrent, input: Tensor | PackedSequence, states: States | None) -> Inputs:
    """The inputs of each matrix of each layer and direction: the frames, and the state before each."""
    for layer, run in enumerate(module.run_layers(input, states)):
        n_units = [module.units(suffix) for suffix in module.suffixes(layer)]
        outputs = torch.split(run.output, n_units, dim=1)
        for direction, suffix in enumerate(module.suffixes(layer)):
            before = run.initial[0][direction, :, : n_units[direction]]
            yield f"weight_ih_{suffix}", run.input
            h = previous_states(outputs[direction], before, run.batch_sizes, reverse=direction == 1)
            yield f"weight_hh_{suffix}", h


def _reordered(states: States, order: Tensor | None) -> States:
    """`states` with their batch (second) dimension in `order`."""
    return states if order is None else tuple(state.index_select(1, order) for state in states)
