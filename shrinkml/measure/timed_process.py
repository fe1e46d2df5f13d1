"""A recogniser in a process of its own, told when to transcribe: what it costs to start, to keep and to run.

Only a fresh process tells honestly how long loading takes and how much memory that needs, and one that runs an export
never loads torch: that is how it runs on a device.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from shrinkml.errors import CheckpointError, LostProcessError, StoppedError
from shrinkml.events import ShouldStop

TORCH, ONNXRUNTIME = "torch", "onnxruntime"
LOOK_S = 0.2  # between two looks at whether to stop

Transcribe = Callable[[Sequence[Any]], list[str]]  # waveforms [samples] -> a transcript each
Open = Callable[[Path], tuple[int, Transcribe]]  # folder -> sample rate in Hz, and what transcribes


@dataclass(frozen=True, slots=True)
class Start:
    """The time that passed until the first utterance could be heard.

    Attributes:
        import_s: seconds to import the runtime.
        load_s: seconds to open the model, and to import transformers where it is one of those; its files were read
            before, so they come from memory.
    """

    import_s: float
    load_s: float


@dataclass(frozen=True, slots=True)
class Pass:
    """All utterances, transcribed once.

    Attributes:
        seconds: by the clock.
        processor_s: of the processor, of all threads together.
        peak_bytes: the most memory that the process has had resident so far, all that it has loaded included.
    """

    seconds: float
    processor_s: float
    peak_bytes: int


class TimedProcess:
    """A process that holds the model in `folder` and the speech in `audio`; a context manager that ends it.

    Attributes:
        start: what it took to start.
    """

    def __init__(
        self,
        runtime: str,
        folder: Path,
        audio: Sequence[Path],
        *,
        threads: int,
        should_stop: ShouldStop,
        int8: bool = False,
    ) -> None:
        """The process is ready when this returns.

        Args:
            runtime: TORCH or ONNXRUNTIME.
            folder: a checkpoint, or an export for ONNX Runtime.
            audio: files to transcribe.
            threads: that the runtime may use.
            should_stop: asked while the process is waited for.
            int8: whether a checkpoint is opened to multiply in int8; an export does what it was written for.

        Raises:
            CheckpointError: the process failed, and why.
            LostProcessError: it was killed.
            StoppedError: stopped.
        """
        self._what = f"{folder} in {runtime}"
        self._should_stop = should_stop
        self._errors = TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [
            sys.executable,
            "-m",
            "shrinkml.measure.timed_process",
            runtime,
            str(folder),
            str(threads),
            str(int(int8)),
        ]
        self._process = subprocess.Popen(
            [*command, *map(str, audio)],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self.start = Start(**self._answer())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "TimedProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, batch_size: int) -> Pass:
        """Transcribes everything once, `batch_size` utterances at a time, longest first.

        Raises:
            CheckpointError: the process failed, and why.
            LostProcessError: it was killed.
            StoppedError: stopped.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: no answer will come
            print(batch_size, file=self._process.stdin, flush=True)
        return Pass(**self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        """The next line that the process prints: there is never a second one waiting behind it."""
        output = self._process.stdout
        assert output is not None
        ready = False
        while not ready:
            if self._should_stop():
                raise StoppedError("stopped while timing")
            ready = bool(select.select([output], [], [], LOOK_S)[0])
        line = output.readline()
        if not line:
            self._errors.seek(0)
            last_line = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            if self._process.wait() < 0:
                signal = -self._process.returncode
                raise LostProcessError(
                    f"the process that timed {self._what} was killed (signal {signal}), perhaps for want of memory"
                )
            raise CheckpointError(f"{self._what} cannot be timed: {last_line or 'its process ended without a word'}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _main(runtime: str, folder: str, threads: str, int8: str, *audio: str) -> None:
    """`python -m shrinkml.measure.timed_process RUNTIME FOLDER THREADS INT8 AUDIO...`: a Start, and Passes."""
    began = time.perf_counter()
    open_model = RUNTIMES[runtime](int(threads), bool(int(int8)))
    imported = time.perf_counter()
    sample_rate_hz, transcribe = open_model(Path(folder))
    _tell(Start(imported - began, time.perf_counter() - imported))
    from shrinkml.speech.audio import read_audio

    waveforms = sorted((read_audio(path, sample_rate_hz) for path in audio), key=len, reverse=True)
    for line in sys.stdin:
        size = int(line)
        batches = [waveforms[start : start + size] for start in range(0, len(waveforms), size)]
        began, busy = time.perf_counter(), time.process_time()
        for batch in batches:
            transcribe(batch)
        _tell(Pass(time.perf_counter() - began, time.process_time() - busy, _peak_bytes()))


def _torch(threads: int, int8: bool) -> Open:
    import torch

    from shrinkml.storage.checkpoint import load

    torch.set_num_threads(threads)

    def open_model(folder: Path) -> tuple[int, Transcribe]:
        model = load(folder, int8=int8)
        return model.sample_rate_hz, lambda waveforms: model.transcribe([model.features(w) for w in waveforms])

    return open_model


def _onnxruntime(threads: int, _: bool) -> Open:
    from shrinkml.export.recogniser import OnnxRecogniser

    def open_model(folder: Path) -> tuple[int, Transcribe]:
        recogniser = OnnxRecogniser(folder, threads=threads)
        return recogniser.recipe.sample_rate_hz, recogniser.transcribe

    return open_model


RUNTIMES: dict[str, Callable[[int, bool], Open]] = {TORCH: _torch, ONNXRUNTIME: _onnxruntime}


def _tell(record: Start | Pass) -> None:
    print(json.dumps(asdict(record)), flush=True)


def _peak_bytes() -> int:
    """Not `getrusage`'s: Linux lets a process inherit that peak from the one that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
