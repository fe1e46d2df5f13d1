import json
import tarfile

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from shrinkml.errors import CheckpointError, ManifestError
from shrinkml.speech.manifest import Utterance, check_splits, write_manifest
from shrinkml.storage.archives import packed_dataset, packed_model


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"format": "shrinkml/1", "family": "las"}))
    (folder / "vocabulary.txt").write_text("light\n")
    save_file({"weight": np.zeros((3, 4), np.float32)}, tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")  # as the cache of a hub has them
    (folder / "optimizer.bin").write_bytes(bytes(100))
    return folder


@pytest.fixture
def manifests(tmp_path):
    """Two manifests in folders of their own, whose audio has the same names; one recording stands in both."""
    made = []
    for split in ("dev", "test"):
        folder = tmp_path / split
        folder.mkdir()
        for i in range(2):
            soundfile.write(folder / f"{i}.wav", np.full(800, i / 10), 16_000)
        utterances = [Utterance(folder / f"{i}.wav", 0.05, f"{split} {i}", speaker=split) for i in range(2)]
        utterances += [Utterance(tmp_path / "dev" / "0.wav", 0.05, "again")]
        write_manifest(folder / f"{split}.jsonl", utterances)
        made.append(folder / f"{split}.jsonl")
    return made


def test_a_model_is_packed_as_the_files_that_it_is_made_of_with_no_links(model):
    with packed_model(model) as archive:
        assert archive.name == "whisper.tar"
        with tarfile.open(archive) as tar:
            assert tar.getnames() == ["config.json", "model.safetensors", "vocabulary.txt"]
            assert all(member.isreg() for member in tar)
    assert not archive.exists()


def test_what_is_no_model_is_told_before_it_is_sent(tmp_path):
    with pytest.raises(CheckpointError, match="no model"), packed_model(tmp_path / "nowhere"):
        pass


def test_packing_again_gives_the_same_bytes(model, manifests):
    def packed() -> list[bytes]:
        with packed_model(model) as one, packed_dataset(manifests) as other:
            return [one.read_bytes(), other.read_bytes()]

    assert packed() == packed()


def test_manifests_are_packed_with_their_audio_each_recording_once(tmp_path, manifests):
    with packed_dataset(manifests) as archive, tarfile.open(archive) as tar:
        assert len(tar.getnames()) == 2 + 4
        tar.extractall(tmp_path / "out", filter="data")
    found = {split: tmp_path / "out" / f"{split}.jsonl" for split in ("dev", "test")}
    texts = {split: [it.text for it in check_splits({split: path})[split]] for split, path in found.items()}
    assert texts == {"dev": ["dev 0", "dev 1", "again"], "test": ["test 0", "test 1", "again"]}
    lines = [json.loads(line) for line in found["test"].read_text().splitlines()]
    assert {line["audio_filepath"].partition("/")[0] for line in lines} == {"audio"}
    assert soundfile.read(tmp_path / "out" / lines[1]["audio_filepath"])[0][0] == pytest.approx(0.1, abs=1e-4)


def test_manifests_of_one_name_or_none_are_refused(manifests, tmp_path):
    for wrong in ([manifests[0], manifests[0]], [tmp_path / "dev.txt"], []):
        refusal = pytest.raises(ManifestError, match=r"allowed: names that end in \.jsonl, each another one")
        with refusal, packed_dataset(wrong):
            pass


def test_an_archive_is_sent_as_it_is(tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(b"PK")
    with packed_model(archive) as one, packed_dataset([archive]) as other:
        assert one == other == archive
