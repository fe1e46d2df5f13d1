"""A Hugging Face hub on this machine: the few answers that fetching a model asks for, over real sockets."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class PretendHub:
    """What the hub holds, and what it was asked for.

    Attributes:
        url: where it listens.
        models: id -> commits, the oldest first: 40 hex digits, and the folder of the files.
        asked: paths of the files that were fetched.
    """

    url: str = ""
    models: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def stand_in(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """What HF_ENDPOINT and HF_HUB_CACHE would do for a new process."""
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", self.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def push(self, name: str, folder: Path) -> str:
        """The commit of a new version of the model `name`."""
        commits = self.models.setdefault(name, [])
        commit = hashlib.sha1(f"{name} {len(commits)}".encode()).hexdigest()
        commits.append((commit, folder))
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for what is asked for."""
        path = path.partition("?")[0].lstrip("/")
        for name, commits in self.models.items():
            newest = commits[-1][0]
            if path == f"api/models/{name}/revision/main":
                return 200, {}, json.dumps({"id": name, "sha": newest, "siblings": []}).encode()
            for commit, folder in commits:
                if path == f"api/models/{name}/tree/{commit}":
                    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
                    return 200, {}, json.dumps([_entry(file, folder) for file in files]).encode()
                if path.startswith(f"{name}/resolve/{commit}/"):
                    file = path.removeprefix(f"{name}/resolve/{commit}/")
                    body = (folder / file).read_bytes()
                    self.asked.append(file)
                    return 200, {"ETag": f'"{_oid(body)}"', "X-Repo-Commit": commit}, body
        return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"


def _oid(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()  # as git does


def _entry(file: Path, folder: Path) -> dict[str, object]:
    body = file.read_bytes()
    return {"type": "file", "path": str(file.relative_to(folder)), "size": len(body), "oid": _oid(body)}


@contextmanager
def pretend_hub() -> Iterator[PretendHub]:
    """A hub that answers until the block ends."""
    hub = PretendHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
