"""From the folder that the pipeline works in to the artefact store, where the service finds what a job has made."""

import logging
import shutil
from functools import partial
from pathlib import Path

from agents.pipeline.folder.run_folder import ORIGINAL, POLICY
from server.artefacts.artefact_store import POLICY_FILE, REPORT_FILES, ArtefactKind, ArtefactStore, Write
from server.artefacts.checkpoint_tar import tar_name, write_tar

log = logging.getLogger(__name__)


def publish_run(folder: Path, store: ArtefactStore, job_id: str) -> None:
    """Bring everything that the run in `folder` has finished into `store`: checkpoints, reports, policy.

    A checkpoint is a folder; names with a leading dot belong to those that are being written. Checkpoints that were
    withdrawn since are removed.
    """
    checkpoints = [path for path in sorted((folder / "checkpoints").glob("[!.]*")) if path.is_dir()]
    for checkpoint in checkpoints:
        _put(store, job_id, tar_name(checkpoint.name), ArtefactKind.CHECKPOINT, partial(write_tar, checkpoint))
    there = {tar_name(checkpoint.name) for checkpoint in checkpoints}
    for artefact in store.entries(job_id, ArtefactKind.CHECKPOINT):
        if artefact.name not in there:
            store.delete(job_id, artefact.name)
    for name in REPORT_FILES.values():
        _put_file(store, job_id, name, ArtefactKind.REPORT, folder / name)
    publish_policy(folder, store, job_id)


def slim(folder: Path) -> None:
    """Remove from the run in `folder` what nobody asks for again, once it has succeeded and is published."""
    for name in ("stages", "checkpoints", ORIGINAL):
        shutil.rmtree(folder / name, ignore_errors=True)


def publish_policy(folder: Path, store: ArtefactStore, job_id: str) -> None:
    """Bring the policy that the run in `folder` has learned so far into `store`, if it learns one."""
    _put_file(store, job_id, POLICY_FILE, ArtefactKind.POLICY, folder / POLICY)


def adopt_earlier_runs(jobs: Path, store: ArtefactStore) -> None:
    """Bring into `store` what an earlier version packed into the folders of its jobs, below `jobs`."""
    for index in sorted(jobs.glob("*/artefacts/index.json")):
        folder = index.parent.parent
        publish_run(folder, store, folder.name)
        if not (folder / "checkpoints").is_dir():  # what was packed is all that is left of them
            for packed in sorted(index.parent.glob("*.tar")):
                _put_file(store, folder.name, packed.name, ArtefactKind.CHECKPOINT, packed)
        shutil.rmtree(index.parent)


def _put_file(store: ArtefactStore, job_id: str, name: str, kind: ArtefactKind, path: Path) -> None:
    if path.is_file():
        with path.open("rb") as source:
            _put(store, job_id, name, kind, lambda stream: shutil.copyfileobj(source, stream))


def _put(store: ArtefactStore, job_id: str, name: str, kind: ArtefactKind, write: Write) -> None:
    artefact = store.put(job_id, name, kind, write)
    log.info("job %s: published %s, %d bytes, sha256 %s", job_id, name, artefact.bytes, artefact.sha256)
