import socket
import tempfile
import time

import pytest

from agents.execution.ray import ray_reach
from agents.execution.ray.ray_reach import LONGEST_SOCKET, check_reach
from shrinkml.errors import ConfigError


@pytest.fixture
def port():
    """Of a server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_cluster_that_answers_may_be_joined(port):
    check_reach(f"127.0.0.1:{port}")
    check_reach(f"ray://127.0.0.1:{port}")
    check_reach("local")


def test_a_cluster_that_is_gone_is_named_at_once_with_what_to_do(port, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()[1]
    began_s = time.monotonic()
    with pytest.raises(ConfigError, match=rf"RAY_ADDRESS is 127\.0\.0\.1:{gone}, where no .*; start .* unset RAY_AD"):
        check_reach(f"127.0.0.1:{gone}")
    monkeypatch.setattr(ray_reach, "_last_started", lambda: f"127.0.0.1:{gone}")
    with pytest.raises(ConfigError, match="RAY_ADDRESS is auto, where no Ray cluster answers"):
        check_reach("auto")
    assert time.monotonic() - began_s < ray_reach.PATIENCE_S
    monkeypatch.setattr(ray_reach, "_last_started", lambda: f"127.0.0.1:{port}")
    check_reach("auto")
    monkeypatch.setattr(ray_reach, "_last_started", lambda: None)
    with pytest.raises(ConfigError, match="RAY_ADDRESS is auto, and no Ray runs on this machine"):
        check_reach("auto")


@pytest.mark.parametrize("wrong", ["head", "head:port", ":6379", "head:"])
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS is .*; allowed: host:port of a Ray cluster, auto"):
        check_reach(wrong)


def test_temporary_files_that_lie_too_deep_for_sockets_are_refused(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * LONGEST_SOCKET)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(ConfigError, match=r"\(TMPDIR\), \d+ bytes too deep .* set TMPDIR to a shorter path"):
        check_reach(None)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    check_reach(None)
