"""A project folder that holds, in small, all that the documents name: their blocks run in it as they stand."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
import yaml

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.corpora import commands
from shrinkml.speech.corpora.prepared import RECORD
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save
from tests.docs.documents import ROOT

SMALL = {  # of configs/demo.yaml: a job of seconds, with a goal that any plan meets
    "goal": {"compression_ratio": 1.5, "max_wer_increase": 1.0},
    "search": {"evaluations": 3, "baselines": ["greedy"]},
    "finetune": {"epochs": 1},
    "executor": "local",
}


@pytest.fixture(scope="session")
def project(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: dict[str, Path], tiny_model_dir: Path, stock_dir: Any
) -> Path:
    """The folder: data, jobs, audio, a Kaldi directory, models, and the run of `configs/demo.yaml`."""
    folder = tmp_path_factory.mktemp("project")
    for task in ("commands", "digits"):
        shutil.copytree(tiny_data["train"].parent, folder / "data" / task)
    (folder / "data" / "commands" / RECORD).write_text(_record_of_commands(tmp_path_factory))
    shutil.copytree(tiny_model_dir, folder / "reference-las")
    _write_jobs(folder)
    utterance = read_manifest(folder / "data" / "commands" / "test.jsonl")[0]
    waveform, rate_hz = soundfile.read(utterance.audio)
    soundfile.write(folder / "audio.wav", waveform, rate_hz)
    (folder / "words.txt").write_text("turn on the lights\nturn the radio off\n")
    _write_kaldi(folder / "kaldi" / "data" / "train", folder / "audio.wav")
    _write_librispeech(folder / "LibriSpeech", folder / "audio.wav")
    shutil.copytree(stock_dir("whisper"), folder / "path" / "to" / "whisper")
    save(_halved(shrinkml.load(folder / "path" / "to" / "whisper")), folder / "small-whisper")
    save(_halved(shrinkml.load(tiny_model_dir)), folder / "runs" / "mine" / "checkpoints" / "final")
    return folder


@pytest.fixture(scope="module")
def service(project: Path) -> Iterator[str]:
    """The address of `shrinkml serve`, the real one with its worker, in the project's folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "server.cli.main", "serve", "--home", "runs/server", "--port", str(port)]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        _wait_until_well(url, process)
        yield url
        process.terminate()
        process.wait(60)


def _wait_until_well(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").json()["worker"]["pid"]:
                return
        except httpx.TransportError:
            pass
    raise AssertionError(f"the server ended with {process.returncode}")


def _record_of_commands(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The mark by which `shrinkml prepare commands` knows a folder that it has made, of default size."""
    parameters: dict[str, Any] = {}

    def note(folder: Path, found: dict[str, Any], write: object) -> dict[str, Path]:
        parameters.update(found)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "prepare_once", note)
        commands.prepare(tmp_path_factory.mktemp("unused"))
    return json.dumps(parameters, sort_keys=True)


def _write_jobs(folder: Path) -> None:
    job = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    job = {key: value for key, value in job.items() if key not in ("stages", "steps")} | SMALL
    job["model"], job["data"] = "../reference-las", {split: job["data"][split] for split in ("train", "dev", "test")}
    (folder / "configs" / "train").mkdir(parents=True)
    (folder / "configs" / "demo.yaml").write_text(yaml.safe_dump(job))
    for name in ("digits.yaml", "transducer.yaml"):
        training = yaml.safe_load((ROOT / "configs" / "train" / name).read_text())
        training |= {"epochs": 1, "shape": {**training["shape"], "hidden": 16, "decoder": 16}}
        (folder / "configs" / "train" / name).write_text(yaml.safe_dump(training))


def _write_librispeech(folder: Path, audio: Path) -> None:
    """As many speakers as the splits need, all with the one recording, more or less loud."""
    waveform, rate_hz = soundfile.read(audio)
    for speaker in range(6):
        chapter = folder / "dev-clean" / str(speaker) / "1"
        chapter.mkdir(parents=True)
        (chapter / f"{speaker}-1.trans.txt").write_text(f"{speaker}-1-0000 TURN ON THE LIGHTS\n")
        soundfile.write(chapter / f"{speaker}-1-0000.flac", waveform / (1 + speaker), rate_hz)


def _write_kaldi(folder: Path, audio: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "wav.scp").write_text(f"anna-1 {audio}\n")
    (folder / "text").write_text("anna-1 turn on the lights\n")
    (folder / "utt2spk").write_text("anna-1 anna\n")


def _halved(model: Any) -> Any:
    """`model` with every layer at half its break-even rank."""
    ranks = {layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model))
