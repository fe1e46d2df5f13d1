"""Encoder-decoders of transformers with fewer tokens: those that some texts need, and the likeliest others.

The embedding, and with it the output that it is tied to, is the largest matrix of a small Whisper: more than half of
its weights, of which a language, a subject or a domain uses a part. Low rank harms it, for its rows are hardly alike.

References:
    Abdaoui et al. 2020, Load what you need: smaller versions of multilingual BERT, arXiv:2010.05609 (rows of unused
    tokens are removed). Keeping what the model itself thinks likeliest beside them is ours.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.errors import ConfigError
from shrinkml.models.family import TokenRanking
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.huggingface.text_tokens import Text
from shrinkml.models.huggingface.vocabulary.byte_level import (
    added_tokens,
    byte_pairs,
    check_byte_level,
    needed_tokens,
    with_tokens,
)
from shrinkml.models.huggingface.vocabulary.expected_tokens import expected_tokens
from shrinkml.models.huggingface.vocabulary.token_settings import ids_in, renumber_


def check_trimmable(model: HuggingFaceSeq2Seq) -> None:
    """That the vocabulary of `model` can be trimmed; costs nothing.

    Raises:
        ConfigError: its tokenizer is of another kind, or its embedding is not dense.
    """
    check_byte_level(model.text.tokenizer)
    embedding, head = model.network.get_input_embeddings(), model.network.get_output_embeddings()
    for layer, dense in ((embedding, nn.Embedding), (head, nn.Linear)):
        if type(layer) is not dense:
            raise ConfigError(
                f"tokens of this model are held in a {type(layer).__name__}; trimmed is a dense {dense.__name__}: "
                "trim the original's vocabulary, and compress what comes of it"
            )


def rank_tokens(model: HuggingFaceSeq2Seq, texts: Sequence[str]) -> TokenRanking:
    """The tokens of `model` in the order in which `trim` keeps them.

    All bytes, marks and times, and the tokens of all words of `texts`, stay; of the others, those that the model itself
    expects most where it is fed the texts come first.

    Raises:
        ConfigError: the vocabulary is of another kind.
    """
    check_trimmable(model)
    needed = _required(model, texts)
    expected = expected_tokens(model, texts)
    others = (token for token in expected.argsort(descending=True, stable=True).tolist() if token not in needed)
    return TokenRanking(frozenset(needed), tuple(others))


def trim(model: HuggingFaceSeq2Seq, ranking: TokenRanking, n_tokens: int) -> HuggingFaceSeq2Seq:
    """A model like `model` of `n_tokens` tokens, the first of `ranking`; `model` itself, copied, where it has no more.

    A text whose tokens are all kept is written in the same ones; any other is still written, in more tokens.
    `model.text.kept` of the result tells where they came from.

    Raises:
        ConfigError: the vocabulary is of another kind, or more tokens than that have to stay.
    """
    return keep_tokens(model, choose_tokens(model, ranking, n_tokens))


def n_tokens(model: HuggingFaceSeq2Seq) -> int:
    """The tokens that `model` gives scores of."""
    return model.n_outputs


def least_tokens(model: HuggingFaceSeq2Seq, texts: Sequence[str]) -> int:
    """The fewest tokens that `model` can be trimmed to for `texts`.

    Raises:
        ConfigError: its vocabulary is of another kind.
    """
    check_trimmable(model)
    return len(_required(model, texts))


def choose_tokens(model: HuggingFaceSeq2Seq, ranking: TokenRanking, n_tokens: int) -> tuple[int, ...]:
    """Ids of the tokens that `trim` keeps, ascending.

    Raises:
        ConfigError: more tokens than that have to stay.
    """
    if n_tokens < len(ranking.needed):
        raise ConfigError(
            f"{n_tokens} tokens are to be kept; allowed: {len(ranking.needed)} to {model.n_outputs}, for the words of "
            "the texts, the bytes and the marks need as many: keep more, or give fewer texts"
        )
    pairs = byte_pairs(model.text.tokenizer)
    ids = pairs.vocabulary
    names = {i: token for token, i in ids.items()}
    outside = ranking.needed - names.keys()
    needed = [names[i] for i in ranking.needed if i in names]
    order = (names[i] for i in ranking.others if i in names)
    filled = pairs.filled(needed, min(n_tokens, model.n_outputs) - len(outside), order)
    return tuple(sorted(outside | {ids[token] for token in filled}))


def keep_tokens(model: HuggingFaceSeq2Seq, kept: Sequence[int]) -> HuggingFaceSeq2Seq:
    """A model like `model` whose token i is token `kept[i]` of `model`; `choose_tokens` tells a fitting choice.

    Raises:
        ConfigError: the vocabulary is of another kind, or more of the network than embedding and output depends on it.
    """
    check_trimmable(model)
    new_ids = {old: new for new, old in enumerate(kept)}
    tokenizer = with_tokens(model.text.tokenizer, new_ids)
    network = _with_rows(model.network, torch.tensor([old for old in kept if old < model.n_outputs]), new_ids)
    for settings in _settings(network):
        renumber_(settings, new_ids)
    _check_sizes(network)
    before = model.text.kept
    text = Text(tokenizer, kept=tuple(kept if before is None else (before[old] for old in kept)))
    return type(model)(network, model.speech, text, window_tail_s=model.window_tail_s).train(model.training)


def _required(model: HuggingFaceSeq2Seq, texts: Sequence[str]) -> set[int]:
    """Ids of the tokens that no trimming for `texts` leaves out."""
    tokenizer = model.text.tokenizer
    pairs = byte_pairs(tokenizer)
    ids = pairs.vocabulary
    of_text = {ids[token] for token in pairs.with_parts(pairs.atoms | needed_tokens(tokenizer, texts))}
    known = {*range(model.n_outputs)} | {*tokenizer.get_vocab().values()}
    beyond = known - {*ids.values()}  # times, which a Whisper's tokenizer need not name
    named = {token for settings in _settings(model.network) for token in ids_in(settings)} & known
    return of_text | added_tokens(tokenizer) | beyond | named


def _settings(network: Any) -> list[Any]:
    """The settings of `network` that name tokens."""
    config = network.config
    return [*{id(one): one for one in (config, _text_config(config))}.values(), network.generation_config]


def _text_config(config: Any) -> Any:
    """The part of `config` that tells the size of the vocabulary, itself and no copy."""
    return config.decoder if hasattr(getattr(config, "decoder", None), "vocab_size") else config


def _with_rows(network: Any, rows: Tensor, new_ids: Mapping[int, int]) -> Any:
    """A copy of `network` with those rows of its embedding and output alone; tied ones stay tied."""
    embedding, head = network.get_input_embeddings(), network.get_output_embeddings()
    padding = None if embedding.padding_idx is None else new_ids.get(embedding.padding_idx)
    with torch.device("meta"):
        small = nn.Embedding(len(rows), embedding.embedding_dim, padding)
        small_head = nn.Linear(head.in_features, len(rows), bias=head.bias is not None)
    twins: dict[nn.Parameter, nn.Parameter] = {}
    for layer, twin in ((embedding, small), (head, small_head)):
        twin.train(layer.training)
        for name, parameter in layer.named_parameters():
            twins.setdefault(parameter, _selected(parameter, rows))
            setattr(twin, name, twins[parameter])
    memo: dict[int, Any] = {id(embedding): small, id(head): small_head}
    copied = copy.deepcopy(network, memo | {id(parameter): twin for parameter, twin in twins.items()})
    _text_config(copied.config).vocab_size = len(rows)
    return copied


def _check_sizes(network: Any) -> None:
    """That the class of `network` makes one like it of its config, as opening a checkpoint will.

    Raises:
        ConfigError: it has more tensors of the size of the vocabulary than its embedding and output.
    """
    with torch.device("meta"), quietly():
        made = {name: tensor.numel() for name, tensor in type(network)(network.config).state_dict().items()}
    wrong = [name for name, tensor in network.state_dict().items() if made.get(name, tensor.numel()) != tensor.numel()]
    if wrong:
        raise ConfigError(
            f"a {type(network).__name__} has more tensors of the size of its vocabulary than its embedding and output "
            f"({', '.join(wrong)}): leave its vocabulary whole (vocabulary: all)"
        )


def _selected(parameter: nn.Parameter, rows: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach()[rows.to(parameter.device)].clone(), requires_grad=parameter.requires_grad)
