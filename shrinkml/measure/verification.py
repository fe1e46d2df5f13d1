"""A checkpoint seen by a process of its own that knows nothing but the core: what it says, and how big its file is."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shrinkml.errors import CheckpointError, LostProcessError

MOST_S = 300.0  # for starting Python, loading torch and transcribing a few utterances


@dataclass(frozen=True, slots=True)
class FreshView:
    """The findings of a fresh process.

    Attributes:
        transcripts: of the given audio files, one by one, with greedy decoding.
        parameters: counted from the file.
        packages: top-level packages of ours that the process had loaded.
    """

    transcripts: list[str]
    parameters: int
    packages: list[str]


def view_in_fresh_process(
    checkpoint: Path, audio: Sequence[Path], *, threads: int, most_s: float = MOST_S
) -> FreshView:
    """Transcribe with `checkpoint` in a new process, on `threads` threads; in another one where it is killed.

    Raises:
        CheckpointError: the process failed, and why, or took longer than `most_s`.
        LostProcessError: it was killed, the second one too.
    """
    try:
        return _view(checkpoint, audio, threads=threads, most_s=most_s)
    except LostProcessError:
        return _view(checkpoint, audio, threads=threads, most_s=most_s)


def _view(checkpoint: Path, audio: Sequence[Path], *, threads: int, most_s: float) -> FreshView:
    command = [sys.executable, "-m", "shrinkml.measure.verification", str(checkpoint), *map(str, audio)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=most_s, check=True)
    except subprocess.CalledProcessError as error:
        if error.returncode < 0:
            raise LostProcessError(
                f"the process that opened {checkpoint} afresh was killed (signal {-error.returncode}), perhaps for "
                "want of memory"
            ) from error
        last_line = error.stderr.strip().rpartition("\n")[2]
        raise CheckpointError(f"{checkpoint} cannot be used by a fresh process: {last_line}") from error
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"a fresh process could not use {checkpoint} within {most_s:g} s") from None
    return FreshView(**json.loads(done.stdout))


def view(checkpoint: Path, audio: Sequence[Path]) -> FreshView:
    """The findings of this process."""
    from shrinkml.speech.audio import read_audio
    from shrinkml.storage.checkpoint import load, stored_parameters

    model = load(checkpoint)
    waveforms = [read_audio(path, model.sample_rate_hz) for path in audio]
    transcripts = [model.transcribe([model.features(waveform)])[0] for waveform in waveforms]
    ours = sorted({name.partition(".")[0] for name in sys.modules} & {"shrinkml", "envs", "agents", "server"})
    return FreshView(transcripts, stored_parameters(checkpoint), ours)


def _main(checkpoint: str, *audio: str) -> None:
    """`python -m shrinkml.measure.verification CHECKPOINT AUDIO...`: prints a FreshView as JSON."""
    print(json.dumps(asdict(view(Path(checkpoint), [Path(path) for path in audio]))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
