"""The scores of a recogniser, and of cut copies of it, on the same few utterances, fed the same transcripts.

What a cut does not touch is not computed again: under a plan that leaves the encoder of a model in two parts as it is,
only the decoder runs, on states that were kept.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.search.decompose_layers import fitting_batch_size, use_of_the_longest
from agents.search.interruptible import Interruptible
from shrinkml.models.heads import transcript_head
from shrinkml.models.protocol import AsrModel, TwoPartModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset

IMPOSSIBLE = -1e4  # the logarithm of a posterior that is 0 or no number: finite, so that its share is counted

Cut = Callable[[CompressionPlan], AsrModel]


class ForcedScores:
    """Divergences of cut models from the whole one.

    Attributes:
        tells: False where the model tells no scores.
        tokens_per_utterance: of the speech.
    """

    def __init__(self, model: AsrModel, cut: Cut, speech: Dataset) -> None:
        """The scores of `model` on all of `speech` are found now.

        Args:
            model: the whole one.
            cut: gives it with the layers of a plan cut.
            speech: a few utterances and the transcripts to feed.
        """
        model.module.eval()
        self._cut = cut
        self._speech = speech
        self._batches = list(speech.batches(fitting_batch_size(use_of_the_longest(model, speech))))
        self._states: dict[CompressionPlan, list[Tensor]] = {}
        self._n_tokens = 0
        reference = self._scores(model, CompressionPlan())
        self.tells = reference is not None
        self._reference = reference or []
        self.tokens_per_utterance = max(1, self._n_tokens) / len(speech)

    def divergence(self, plan: CompressionPlan) -> float:
        """The divergence of the model from itself under `plan`: nats per token, at least 0."""
        scores = self._scores(self._cut(plan), plan)
        assert scores is not None, "a model that is cut tells as much as before"
        pairs = zip(scores, self._reference, strict=True)
        total = sum(float(F.kl_div(after, before, reduction="sum", log_target=True)) for after, before in pairs)
        return max(0.0, total) / len(self._speech) / self.tokens_per_utterance

    @torch.inference_mode()
    def _scores(self, model: AsrModel, plan: CompressionPlan) -> list[Tensor] | None:
        """Of each batch the logarithms [steps, vocabulary] of all posteriors that transcripts are read from."""
        found = []
        self._n_tokens = 0
        parts = _in_parts(model)
        states = [] if parts is None else self._states_under(parts, plan)
        for n, batch in enumerate(self._batches):
            texts = [self._speech.texts[i] for i in batch]
            parts = _in_parts(model)  # asked for each batch: it notices a stop
            if parts is None:
                heads = model.teacher_forced([self._speech.features[i] for i in batch], texts)
            else:
                heads = parts.forced_on(states[n], texts)
            head = transcript_head(heads)
            rows = head.rows()
            if not rows:
                return None
            self._n_tokens += head.n_tokens
            found.append(torch.cat(rows).log_softmax(-1).nan_to_num(nan=IMPOSSIBLE, neginf=IMPOSSIBLE))
        return found

    def _states_under(self, model: TwoPartModel, plan: CompressionPlan) -> list[Tensor]:
        """The encoder's states of each batch under `plan`; those of the whole model and of one more are kept."""
        prefix = model.encoder_prefix or ""
        of_encoder = CompressionPlan({name: choice for name, choice in plan if name.startswith(prefix)})
        if of_encoder not in self._states:
            whole = CompressionPlan()
            self._states = {one: states for one, states in self._states.items() if one == whole}
            self._states[of_encoder] = [
                model.encode([self._speech.features[i] for i in batch]) for batch in self._batches
            ]
        return self._states[of_encoder]


def _in_parts(model: AsrModel) -> TwoPartModel | None:
    """`model`, where the states of its encoder can be kept."""
    if isinstance(model, Interruptible):
        return model.in_parts
    return model if isinstance(model, TwoPartModel) and model.encoder_prefix is not None else None
