"""An embedding over a table in any form."""

from collections.abc import Mapping

from torch import Tensor, nn

from shrinkml.layers.adapter import Adapter, Arguments, Matrices
from shrinkml.layers.form_layer import FormLayer
from shrinkml.plan.choice import Choice
from shrinkml.weights.forms import get_form


class FormEmbedding(FormLayer):
    """A drop-in for `nn.Embedding`.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: columns of the table.
        choices: of the matrix "weight".
        padding_idx: the row that gets no gradient.
    """

    max_norm = None
    norm_type = 2.0
    scale_grad_by_freq = False
    sparse = False

    def __init__(
        self, num_embeddings: int, embedding_dim: int, choices: Mapping[str, Choice], *, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.hold("weight", (num_embeddings, embedding_dim), choices)

    @property
    def weight(self) -> Tensor:
        """The dense table [entries, dim]."""
        return get_form(self, "weight").dense()

    def forward(self, input: Tensor) -> Tensor:
        """Indices [...] to vectors [..., dim]."""
        return get_form(self, "weight").look_up(input, self.padding_idx)

    def extra_repr(self) -> str:
        """The shape and the choices, for `print`."""
        return f"{self.num_embeddings}, {self.embedding_dim}, {self.shown_choices()}"


def _arguments(module: nn.Embedding | FormEmbedding) -> Arguments:
    return (module.num_embeddings, module.embedding_dim), {"padding_idx": module.padding_idx}


def _matrices(module: nn.Embedding | FormEmbedding) -> Matrices:
    if module.max_norm is None and not module.sparse and not module.scale_grad_by_freq:
        yield "weight", "embedding"


EMBEDDING = Adapter(nn.Embedding, FormEmbedding, _arguments, _matrices)
