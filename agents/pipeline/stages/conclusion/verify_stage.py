"""The stage that publishes the best model as the final one, and has a fresh process open it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.schedule import best_of
from agents.pipeline.stage import Stage, StageContext, takes
from agents.pipeline.stages.conclusion.activations_stage import ACTIVATIONS
from agents.pipeline.windows.window_stage import MODEL, WINDOWS
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.errors import CheckpointError
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.speech.audio import read_audio
from shrinkml.storage import checkpoint

N_VERIFIED = 8  # utterances whose transcripts a fresh process must repeat


@dataclass(frozen=True, slots=True)
class Verified:
    """The final checkpoint as a fresh process found it.

    Attributes:
        parameters: counted from its file.
        utterances: of which both heard the same.
    """

    parameters: int
    utterances: int


def verify(materials: Materials, model: Path) -> Verified:
    """Check that a fresh process loads the checkpoint `model` with the core alone and hears the same in it.

    Both on the CPU, in a few utterances.

    Raises:
        CheckpointError: it does not.
    """
    loaded = checkpoint.load(model)
    audio = [utterance.audio for utterance in materials.dev_utterances[:N_VERIFIED]]
    waveforms = [read_audio(path, loaded.sample_rate_hz) for path in audio]
    expected = [loaded.transcribe([loaded.features(waveform)])[0] for waveform in waveforms]
    fresh = view_in_fresh_process(model, audio, threads=torch.get_num_threads())
    parameters = model_cost(loaded.module).parameters(current_plan(loaded.module))
    if fresh.transcripts != expected:
        raise CheckpointError(f"a fresh process hears {fresh.transcripts} where this one heard {expected}")
    if fresh.parameters != parameters:
        raise CheckpointError(f"the file of {model} holds {fresh.parameters} parameters; its plan says {parameters}")
    if fresh.packages != ["shrinkml"]:
        raise CheckpointError(f"loading {model} needed {', '.join(fresh.packages)}; the core must do")
    return Verified(fresh.parameters, len(audio))


def _run(context: StageContext) -> Verified:
    folder, best = context.tools.folder, best_of([outcome.step for outcome in context.outcomes])
    later = [context.state.find(stage) for stage in (ACTIVATIONS, WINDOWS)]
    made = (found.folder / MODEL for found in later if found is not None)
    folder.publish(next(filter(Path.is_dir, made), folder.checkpoints / best.checkpoint), FINAL)
    return verify(context.tools.materials, folder.checkpoints / FINAL)


VERIFY = Stage("verify", Verified, _run, takes(10.0))
