import re

import pytest

from shrinkml.errors import ConfigError
from shrinkml.yaml_file import read_yaml


def read(path):
    return read_yaml(path, kind="job file", like="configs/demo.yaml")


def test_the_value_in_a_file_comes_back(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("goal: {compression_ratio: 5.0}\nnames: [ä, b]\n", encoding="utf-8")
    assert read(path) == {"goal": {"compression_ratio": 5.0}, "names": ["ä", "b"]}


def test_a_missing_file_says_what_to_write_like(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=rf"^no job file {re.escape(str(path))}; write one like configs/demo.yaml$"):
        read(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"is no job file \(Is a directory\); write one like configs/demo.yaml"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\xfa", b"[" * 100_000], ids=["broken", "no text", "deep"])
def test_what_is_no_yaml_is_refused(tmp_path, content):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"(?s)is no valid YAML: .*; write a job file like configs/demo.yaml"):
        read(path)


def test_an_object_of_python_is_not_made(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read(path)
