import json

import pytest

from server.limits import DEFAULT_LIMITS
from server.service_errors import ArchiveError
from server.uploads.upload_checks import contents_of
from server.uploads.upload_state import ManifestFacts, UploadKind, new_upload
from shrinkml.errors import CheckpointError, ManifestError


@pytest.fixture
def found(tmp_path):
    """What is found in an archive of some files."""

    def found(kind: UploadKind, files: dict[str, bytes], limits=DEFAULT_LIMITS):
        for name, content in files.items():
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / name).write_bytes(content)
        return contents_of(new_upload(kind, "x.tar", 1, "0" * 64), tmp_path / "in", limits)

    return found


def within(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize("root", [".", "whisper", "a/b"])
def test_a_model_is_found_in_the_only_folder_of_its_archive(found, model_files, root):
    litter = {"__MACOSX/x": b"", ".DS_Store": b""}
    contents = found(UploadKind.MODEL, within(root, model_files) | litter)
    assert (contents.model.family, contents.model.parameters) == ("las", 12)
    assert contents.model.name.startswith("upload:")
    assert contents.bytes == sum(map(len, model_files.values()))
    assert (contents.root, contents.manifests) == (root, ())


def test_a_model_is_refused_as_the_operators_own_would_be(found, model_files):
    with pytest.raises(CheckpointError, match=r"model.safetensors missing"):
        found(UploadKind.MODEL, {name: model_files[name] for name in ("config.json", "vocabulary.txt")})
    limits = DEFAULT_LIMITS.model_copy(update={"model_files": 2})
    with pytest.raises(CheckpointError, match="holds 3 files; allowed for a model: 2"):
        found(UploadKind.MODEL, model_files, limits)


def test_a_data_set_is_its_manifests_with_their_audio(found, dataset_files):
    contents = found(UploadKind.DATASET, within("speech", dataset_files))
    assert contents.manifests == tuple(ManifestFacts(f"{it}.jsonl", 2, 1.0) for it in ("dev", "test", "train"))
    assert (contents.root, contents.model) == ("speech", None)


def test_a_data_set_without_a_manifest_is_refused(found, dataset_files):
    with pytest.raises(ArchiveError, match=r"holds no manifest; allowed: \*\.jsonl at its top"):
        found(UploadKind.DATASET, {"dev0.wav": dataset_files["dev0.wav"]})


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ("dev1.wav", "dev1.wav"),
        ("/etc/hostname", "lies outside the archive; allowed: paths beside it"),
        ("../outside.wav", "'../outside.wav' lies outside the archive"),
        ("a/../../../outside.wav", "lies outside the archive"),
    ],
)
def test_every_line_of_a_manifest_is_checked(found, tmp_path, dataset_files, audio, message):
    (tmp_path / "outside.wav").write_bytes(dataset_files["dev0.wav"])
    wrong = json.dumps({"audio_filepath": audio, "duration": 0.5, "text": "on"}).encode()
    lines = [line for line in dataset_files["dev.jsonl"].splitlines() if b"dev0" in line] * 150
    with pytest.raises(ManifestError, match=message):
        found(
            UploadKind.DATASET,
            {"dev.jsonl": b"\n".join([*lines, wrong]), "dev0.wav": dataset_files["dev0.wav"]},
        )
