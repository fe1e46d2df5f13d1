"""Linear and embedding layers whose weight is a product of two thin matrices."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shrinkml.weights.forms import add_matrix, apply, get_matrix, product


class LowRankLinear(nn.Module):
    """An `nn.Linear` with weight `weight_up` [out, rank] @ `weight_down` [rank, in].

    Its parameters start as zeros: surgery or a state dict fills them.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        add_matrix(self, "weight", (out_features, in_features), rank)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    @property
    def weight(self) -> Tensor:
        """The dense weight [out, in], for code that reads a linear layer's weight."""
        return product(get_matrix(self, "weight"))

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return apply(get_matrix(self, "weight"), input, self.bias)

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        rank = self.get_parameter("weight_down").shape[0]
        return f"{self.in_features}, {self.out_features}, rank={rank}, bias={self.bias is not None}"


class LowRankEmbedding(nn.Module):
    """An `nn.Embedding` with weight `weight_up` [entries, rank] @ `weight_down` [rank, dim].

    Its parameters start as zeros: surgery or a state dict fills them.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, *, padding_idx: int | None = None) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        add_matrix(self, "weight", (num_embeddings, embedding_dim), rank)

    @property
    def weight(self) -> Tensor:
        """The dense table [entries, dim]."""
        return product(get_matrix(self, "weight"))

    def forward(self, input: Tensor) -> Tensor:
        """Indices [...] to vectors [..., dim]."""
        up, down = self.get_parameter("weight_up"), self.get_parameter("weight_down")
        return F.embedding(input, up, self.padding_idx) @ down

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.get_parameter('weight_down').shape[0]}"
