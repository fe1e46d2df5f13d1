"""The stage that chooses the transcripts to learn from, and has the original write them where they are its own."""

from dataclasses import dataclass

from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext, Teller
from agents.pipeline.teaching import N_COMPARED, Source
from shrinkml.job import JobSpec


@dataclass(frozen=True, slots=True)
class Transcripts:
    """The choice of transcripts that layers are calibrated and models trained on.

    Attributes:
        source: "own" or "references".
        reference_loss: of the original on the references, nats per token; None where nothing was compared.
        own_loss: on its own transcripts.
        taught: utterances of train that are learned from.
        left_out: those whose own transcript is far from the reference.
        heard: utterances that were transcribed now, not remembered.
    """

    source: Source
    reference_loss: float | None
    own_loss: float | None
    taught: int
    left_out: int
    heard: int = 0


def choose_transcripts(materials: Materials, teller: Teller) -> Transcripts:
    """The transcripts to learn from, written and remembered."""
    teaching, heard = materials.teaching, 0
    if teaching.source == "own":
        heard = _transcribe(materials, teller)
    taught = len(materials.train)
    return Transcripts(
        source=teaching.source,
        reference_loss=teaching.reference_loss,
        own_loss=teaching.own_loss,
        taught=taught,
        left_out=len(materials.training) - taught,
        heard=heard,
    )


def _transcribe(materials: Materials, teller: Teller) -> int:
    """Have the original transcribe train, and tell of it; returns the utterances that were not remembered."""
    n_total = len(materials.training)
    known: list[int] = []  # transcripts, at first and after each batch

    def on_heard(n: int) -> None:
        known.append(n)
        n_done, n_unknown = n - known[0], n_total - known[0]
        if not n_done:
            teller.expect(Work(transcribed=n_unknown))
            return
        message = f"the original has transcribed {n} of {n_total} utterances of train"
        facts = {"n": n, "of": n_total}
        teller.tell("transcribed", f"transcribed/{n}", message, facts, n_done=n_done, n_total=n_unknown)

    materials.transcribe_training(on_heard)
    return n_total - known[0]


def _run(context: StageContext) -> Transcripts:
    return choose_transcripts(context.tools.materials, context.teller)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.train if spec.data.teach == "own" else N_COMPARED, seconds=1.0)


def _done(found: Transcripts, spec: JobSpec, sizes: Sizes) -> Work:
    return Work(transcribed=found.heard)


TRANSCRIPTS = Stage("transcripts", Transcripts, _run, _work, done=_done)
