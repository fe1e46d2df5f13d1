"""The transcripts that a decoder is fed and a student learns from: the references, or what the original itself writes.

A pretrained model has words of its own: casing, punctuation, a leading space. References in another form are unlikely
to it, and layers calibrated or trained on them learn that form instead of the speech. References stay what errors are
counted against.

References:
    Gandhi et al. 2023, Distil-Whisper, arXiv:2311.00430 (learning from the teacher's transcripts, without those that
    are far from the references). When which are taken is our own rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from agents.pipeline.folder.lasting_cache import LastingCache, key_of
from shrinkml.models.protocol import AsrModel
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.text import normalise
from shrinkml.speech.utterance import Utterance
from shrinkml.training.dataset import Dataset

Source = Literal["own", "references"]

BATCH_SIZE = 32
N_COMPARED = 16  # utterances whose references and own transcripts are compared
FOREIGN = 0.25  # nats per token by which references of another form are dearer than the model's own words, at least
OTHER_FORM = 0.05  # of the words, that have capitals or punctuation on one side alone, at least
FAR = 0.3  # word errors per word of the reference from which a transcript is no lesson: mostly repetitions
KIND = "transcript"


@dataclass(frozen=True, slots=True)
class Teaching:
    """The choice of transcripts.

    Attributes:
        source: "own" or "references".
        lead: what the model writes before the first word, " " or nothing.
        reference_loss: of the original on the references, nats per token; None where nothing was compared.
        own_loss: on its own transcripts.
    """

    source: Source
    lead: str = ""
    reference_loss: float | None = None
    own_loss: float | None = None


def choose_teaching(
    model: AsrModel, speech: Dataset, own: Sequence[str], *, asked: Literal["auto", "own", "references"]
) -> Teaching:
    """The transcripts to teach by: as `asked`, or by comparison.

    The original's own are taken where it hears well, writes in another form than the references (capitals,
    punctuation), and finds those much less likely than its own.

    Args:
        model: the original.
        speech: a few utterances.
        own: their transcripts by the original.
        asked: by the job.
    """
    if asked == "references":
        return Teaching("references")
    of_references = mean_loss(model, speech)
    of_own = {lead: mean_loss(model, speech.with_texts([lead + text for text in own])) for lead in ("", " ")}
    lead = min(of_own, key=lambda lead: of_own[lead])  # the first of equals
    foreign = of_references - of_own[lead] > FOREIGN and _in_another_form(speech.texts, own)
    return Teaching("own" if asked == "own" or foreign else "references", lead, of_references, of_own[lead])


@torch.inference_mode()
def mean_loss(model: AsrModel, speech: Dataset) -> float:
    """The loss of `model` on the texts of `speech`: nats per token, the mean of the batches by their utterances."""
    model.module.eval()
    total = 0.0
    for batch in speech.batches(BATCH_SIZE):
        heads = model.teacher_forced([speech.features[i] for i in batch], [speech.texts[i] for i in batch])
        total += float(model.loss(heads)) * len(batch)
    return total / len(speech)


def original_transcripts(
    model: AsrModel,
    digest: str,
    utterances: Sequence[Utterance],
    speech: Dataset,
    cache: LastingCache,
    *,
    on_heard: Callable[[int], None] = lambda n: None,
) -> list[str]:
    """The transcripts of `utterances` by the original, each written once and remembered.

    Args:
        model: the original.
        digest: of its files.
        utterances: to transcribe.
        speech: the same, as features.
        cache: of transcripts that are known.
        on_heard: called with the number of those that are known by now: at first, and after each batch.
    """
    keys = [_key(digest, utterance) for utterance in utterances]
    known: dict[str, str] = cache.find(KIND, keys)
    missing = [i for i, key in enumerate(keys) if key not in known]
    unheard = speech.subset(missing)
    on_heard(len(known))
    model.module.eval()
    for batch in unheard.batches(BATCH_SIZE):
        written = model.transcribe([unheard.features[i] for i in batch])
        found = {keys[missing[i]]: text for i, text in zip(batch, written, strict=True)}
        cache.keep(KIND, found)
        known |= found
        on_heard(len(known))
    return [known[key] for key in keys]


def lessons(speech: Dataset, own: Sequence[str], teaching: Teaching) -> Dataset:
    """`speech` with the transcripts to learn from, without the utterances that are none.

    Args:
        speech: utterances and their references.
        own: transcripts by the original.
        teaching: the choice.
    """
    if teaching.source == "references":
        return speech
    near = [i for i, text in enumerate(own) if normalise(text)]
    if near:
        errors = word_errors([speech.texts[i] for i in near], [own[i] for i in near])
        near = [i for i, far in zip(near, errors.errors > FAR * errors.n_words, strict=True) if not far]
    return speech.subset(near).with_texts([teaching.lead + own[i] for i in near])


def _in_another_form(references: Sequence[str], own: Sequence[str]) -> bool:
    """True where `own` are nearly the words of `references`, written otherwise."""
    apart = abs(_share_of_marked(references) - _share_of_marked(own))
    return apart > OTHER_FORM and word_errors(references, own).wer < FAR


def _share_of_marked(texts: Sequence[str]) -> float:
    """The share of words with capitals or punctuation."""
    words = [word for text in texts for word in text.split()]
    return sum(normalise(word) != word for word in words) / max(1, len(words))


def _key(digest: str, utterance: Utterance) -> str:
    """Of the model and the audio file as it is now."""
    state = utterance.audio.stat()
    return key_of(digest, utterance.audio, state.st_size, state.st_mtime_ns)
