"""The service under load on this machine: `python benchmarks/load.py --json load.json`.

100 clients ask for the state of a job once a second, 20 follow its events, and then jobs are submitted at 200 requests
per second, while the job runs. Percentiles are by the clients' clock, from the moment that a request should have been
sent: a client that is late because the last answer was counts that as waiting. The job is a fixed number of matrix
products on one thread, which tells an event ten times a second; it is run alone first. Beside the clock stands the
processor that the server and these clients took, which other programs on the machine disturb less: the clients share
the cores with the server and the job, so their own processor is part of the load, and of what slows the job.

The queue takes 16 jobs, as it does by default, and refuses the others (503); `--waiting 100000` has it take all.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import soundfile

from shrinkml.speech.manifest import Utterance, write_manifest

SERVER = """
import sys
from pathlib import Path
from server.limits import Limits
from server.serving import serve
from server.settings import Settings
home, data, waiting, worker = sys.argv[1:]
limits = Limits(jobs_waiting=int(waiting), free_gb=0)
serve(
    Settings(home=home, port=0, data_roots=(Path(data),), limits=limits),
    on_ready=lambda url: print(url, flush=True),
    worker=(sys.executable, "-c", worker, home),
)
"""
WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from server.worker.work import work
from shrinkml.errors import StageError, StoppedError
from shrinkml.events import Event, Progress

def run_job(spec, folder, *, on_event, should_stop, run_stage):
    folder.mkdir(parents=True, exist_ok=True)
    matrix = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    on_event(Event("stage_started", "work/started", "work", "work started"))
    began = told = time.monotonic()
    for i in range(spec.search.evaluations):
        for _ in range(40):
            matrix @ matrix
        if time.monotonic() - told >= 0.1:
            told = time.monotonic()
            on_event(Event("epoch", f"work/{i}", "work", f"piece {i}", progress=Progress(i / spec.search.evaluations)))
        if should_stop():
            raise StoppedError("stopped")
    on_event(Event("timed", "work/timed", "work", "done", {"seconds": time.monotonic() - began}))
    raise StageError("the work is done, and there is nothing to report")

work(Path(sys.argv[1]), run_job)
"""
POLL_EVERY_S = 1.0
PIECE_BYTES = 1 << 16  # of a stream that is read at once
PATIENCE_S = 600.0  # for one answer to this benchmark's own questions


@dataclass(frozen=True, slots=True)
class Waits:
    """The times that requests of a kind took.

    Attributes:
        requests: number of them.
        answers: status -> number of answers.
        p50_ms: median, in milliseconds.
        p99_ms: of which one in a hundred took longer.
        most_ms: the longest.
    """

    requests: int
    answers: dict[int, int]
    p50_ms: float
    p99_ms: float
    most_ms: float

    @classmethod
    def of(cls, seconds: list[float], answers: Counter[int]) -> "Waits":
        """Return the summary of requests that took `seconds`."""
        cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
        return cls(len(seconds), dict(answers), 1e3 * cuts[49], 1e3 * cuts[98], 1e3 * max(seconds))


@dataclass(frozen=True, slots=True)
class Load:
    """The figures of one run.

    Attributes:
        cores: that this process may use.
        status: requests for the state of a job.
        submit: submissions of jobs.
        streamed: events that reached the followers.
        alone_s: seconds of the job without any client.
        polled_s: seconds of the job while clients polled and followed.
        status_cpu_ms: milliseconds of processor of the server per request, while clients polled and followed.
        submit_cpu_ms: the same per submission, the polling included.
        clients_cpu: cores that the clients kept busy, of `cores`, while they polled and followed.
    """

    cores: int
    status: Waits
    submit: Waits
    streamed: int
    alone_s: float
    polled_s: float
    status_cpu_ms: float
    submit_cpu_ms: float
    clients_cpu: float


class Connection:
    """One connection of HTTP/1.1 that is kept: as little as a client can be."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> int:
        """Return the status of the answer, which is read to its end."""
        for _ in range(2):  # a kept connection may have been closed meanwhile
            try:
                return await self._ask(method, path, body)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._streams = None
        return 0

    async def _ask(self, method: str, path: str, body: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
        if "connection: close" in answer:
            writer.close()
            self._streams = None
        return int(answer.split()[1])


async def follow(url: str, path: str, told: Callable[[int], None]) -> None:
    """Call `told` with the number of events in each piece of the stream at `path`, until the server ends it."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        while piece := await reader.read(PIECE_BYTES):
            told(piece.count(b"\nid: "))
    finally:
        writer.close()


async def at_a_rate(rate: float, n: int, ask: Callable[[int], Awaitable[int]]) -> Waits:
    """Return how long the answers to `n` requests took that begin `rate` times a second, come what may."""
    seconds, answers, began = [], Counter[int](), time.perf_counter()

    async def one(i: int) -> None:
        due = began + i / rate
        await asyncio.sleep(due - time.perf_counter())
        answers[await ask(i)] += 1
        seconds.append(time.perf_counter() - due)

    await asyncio.gather(*(one(i) for i in range(n)))
    return Waits.of(seconds, answers)


class Crowd:
    """Clients that poll and follow a job until they are told to stop."""

    def __init__(self, url: str, job_id: str, *, n_polling: int, n_following: int) -> None:
        self._url, self._path = url, f"/v1/jobs/{job_id}"
        self._n_polling, self._n_following = n_polling, n_following
        self._done = asyncio.Event()
        self.seconds: list[float] = []
        self.answers: Counter[int] = Counter()
        self.streamed = 0

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(self._poll(i / self._n_polling)) for i in range(self._n_polling)]
        self._tasks += [asyncio.create_task(self._follow()) for _ in range(self._n_following)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done.set()
        for task in self._tasks[self._n_polling :]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _poll(self, offset_s: float) -> None:
        connection, due = Connection(self._url), time.perf_counter() + offset_s
        while not self._done.is_set():
            await asyncio.sleep(due - time.perf_counter())
            self.answers[await connection.ask("GET", self._path)] += 1
            self.seconds.append(time.perf_counter() - due)
            due += POLL_EVERY_S

    async def _follow(self) -> None:
        await follow(self._url, f"{self._path}/events", self._count)

    def _count(self, events: int) -> None:
        self.streamed += events


@contextmanager
def served(folder: Path, waiting: int) -> Iterator[tuple[str, int]]:
    """The address and the process of a server with the worker of this benchmark."""
    command = [sys.executable, "-c", SERVER, str(folder / "home"), str(folder), str(waiting), WORKER]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def processor_s(pid: int) -> float:
    """Seconds of the processor that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def job(pieces: int) -> dict[str, Any]:
    """A job of so many pieces of work."""
    return {
        "name": "load",
        "model": "reference/las",
        "data": {split: f"{split}.jsonl" for split in ("train", "dev", "test")},
        "goal": {"compression_ratio": 2.0},
        "search": {"evaluations": pieces},
    }


def write_speech(folder: Path) -> None:
    """Manifests of a hundred utterances of noise each."""
    noise = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        utterances = []
        for i in range(100):
            soundfile.write(folder / f"{split}{i}.wav", noise.normal(0, 0.1, 8000 + len(split)), 16_000)
            utterances.append(Utterance(folder / f"{split}{i}.wav", 0.5, "turn on the light", speaker=f"{split}{i}"))
        write_manifest(folder / f"{split}.jsonl", utterances)


def seconds_of(client: httpx.Client, job_id: str) -> float:
    """Wait for the job's end; return the seconds that its work took."""
    while client.get(f"/v1/jobs/{job_id}").json()["state"] in ("queued", "running"):
        time.sleep(0.2)
    after, found = 0, []
    while items := (page := client.get(f"/v1/jobs/{job_id}/events?limit=1000&after={after}").json())["items"]:
        found += [item["data"]["seconds"] for item in items if item["kind"] == "timed"]
        after = page["next_after"]
    return float(found[0])


async def measure(url: str, pid: int, options: argparse.Namespace) -> Load:
    """Return the figures."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        ids = [client.post("/v1/jobs", json=job(options.pieces)).raise_for_status().json()["id"] for _ in range(2)]
        endless = client.post("/v1/jobs", json=job(100_000)).raise_for_status().json()["id"]
        alone_s = await asyncio.to_thread(seconds_of, client, ids[0])
        before, began, own = processor_s(pid), time.perf_counter(), time.process_time()
        async with Crowd(url, ids[1], n_polling=options.polling, n_following=options.following) as crowd:
            polled_s = await asyncio.to_thread(seconds_of, client, ids[1])
        polling_s, n_polled = processor_s(pid) - before, len(crowd.seconds)
        clients_cpu = (time.process_time() - own) / (time.perf_counter() - began)
        connections = [Connection(url) for _ in range(64)]
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            free.put_nowait(connection)
        body = json.dumps(job(1)).encode()

        async def submit(_: int) -> int:
            connection = await free.get()
            try:
                return await connection.ask("POST", "/v1/jobs", body)
            finally:
                free.put_nowait(connection)

        async with Crowd(url, endless, n_polling=options.polling, n_following=options.following):
            await asyncio.sleep(2 * POLL_EVERY_S)  # until all are connected, and followers have read what was there
            before = processor_s(pid)
            submitted = await at_a_rate(options.rate, options.submissions, submit)
        submitting_s = processor_s(pid) - before
        await asyncio.to_thread(client.post, f"/v1/jobs/{endless}/cancel")
    return Load(
        cores=len(os.sched_getaffinity(0)),
        status=Waits.of(crowd.seconds, crowd.answers),
        submit=submitted,
        streamed=crowd.streamed,
        alone_s=alone_s,
        polled_s=polled_s,
        status_cpu_ms=1e3 * polling_s / n_polled,
        submit_cpu_ms=1e3 * submitting_s / submitted.requests,
        clients_cpu=clients_cpu,
    )


def table(load: Load) -> str:
    """Return the figures as lines for people."""
    slower = 100 * (load.polled_s / load.alone_s - 1)
    rows = [
        f"{'':<8}{'requests':>9}{'p50':>10}{'p99':>10}{'longest':>10}  answers",
        *(
            f"{name:<8}{waits.requests:>9}{waits.p50_ms:>7.1f} ms{waits.p99_ms:>7.1f} ms{waits.most_ms:>7.0f} ms  "
            + ", ".join(f"{status}: {n}" for status, n in sorted(waits.answers.items()))
            for name, waits in (("status", load.status), ("submit", load.submit))
        ),
        f"job: {load.alone_s:.1f} s alone, {load.polled_s:.1f} s under load: {slower:+.0f} %",
        f"server: {load.status_cpu_ms:.1f} ms of processor per status, {load.submit_cpu_ms:.1f} per submission; "
        f"clients: {load.clients_cpu:.2f} cores",
        f"streams: {load.streamed} events reached the followers; {load.cores} cores",
    ]
    return "\n".join(rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polling", type=int, default=100, help="clients that poll")
    parser.add_argument("--following", type=int, default=20, help="clients that follow events")
    parser.add_argument("--rate", type=float, default=200.0, help="submissions per second")
    parser.add_argument("--submissions", type=int, default=2000)
    parser.add_argument("--pieces", type=int, default=1500, help="of work in the job")
    parser.add_argument("--waiting", type=int, default=16, help="jobs that may wait")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_speech(Path(folder))
        with served(Path(folder), options.waiting) as (url, pid):
            load = asyncio.run(measure(url, pid, options))
    print(table(load))
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(load), indent=1))


if __name__ == "__main__":
    main()
