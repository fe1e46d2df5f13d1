"""The contract of `ArtefactStore`, over every implementation (see conftest.py)."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.artefacts.artefact_store import Artefact, ArtefactKind, missing, require_safe
from server.service_errors import InvalidNameError, MissingArtefactError

REPORT, CHECKPOINT = ArtefactKind.REPORT, ArtefactKind.CHECKPOINT
UNSAFE = ["", ".", "..", "../other", "a/b", ".hidden", "a\n", "a\x00", "ä", "-a", "a" * 129]


def put(artefacts, job_id: str, name: str, content: bytes, kind: ArtefactKind = CHECKPOINT) -> Artefact:
    return artefacts.put(job_id, name, kind, lambda stream: stream.write(content))


def read(artefacts, job_id: str, name: str) -> bytes:
    with artefacts.open(job_id, artefacts.find(job_id, name)) as stream:
        return stream.read()


def test_what_is_put_is_told_with_size_and_checksum_and_read_again(artefacts):
    content = os.urandom(300_000)
    artefact = put(artefacts, "job-1", "final.tar", content)
    assert artefact == Artefact("final.tar", CHECKPOINT, 300_000, hashlib.sha256(content).hexdigest())
    assert artefacts.find("job-1", "final.tar") == artefact
    assert read(artefacts, "job-1", "final.tar") == content


def test_a_store_that_can_keep_files_says_so_and_keeps_none_for_it(artefacts, tmp_path):
    for _ in range(2):
        artefacts.check()
    assert not list(tmp_path.glob("artefacts/*"))


def test_a_file_may_be_empty(artefacts):
    assert put(artefacts, "job-1", "empty", b"").bytes == 0
    assert read(artefacts, "job-1", "empty") == b""


def test_a_stream_can_be_sought_in(artefacts):
    artefact = put(artefacts, "job-1", "digits", b"0123456789")
    with artefacts.open("job-1", artefact) as stream:
        stream.seek(3)
        assert stream.read(4) == b"3456"


def test_files_are_listed_by_name_and_by_kind(artefacts):
    for name, kind in {"report.json": REPORT, "b.tar": CHECKPOINT, "a.tar": CHECKPOINT}.items():
        put(artefacts, "job-1", name, b"x", kind)
    assert [artefact.name for artefact in artefacts.entries("job-1")] == ["a.tar", "b.tar", "report.json"]
    assert [artefact.name for artefact in artefacts.entries("job-1", REPORT)] == ["report.json"]
    assert artefacts.entries("job-1", ArtefactKind.POLICY) == ()


def test_jobs_share_nothing(artefacts):
    put(artefacts, "job-1", "final.tar", b"one")
    put(artefacts, "job-2", "final.tar", b"two")
    artefacts.delete("job-1", "final.tar")
    assert artefacts.entries("job-1") == artefacts.entries("job-3") == ()
    assert read(artefacts, "job-2", "final.tar") == b"two"


def test_two_names_may_have_the_same_content(artefacts):
    put(artefacts, "job-1", "a", b"same")
    put(artefacts, "job-1", "b", b"same")
    artefacts.delete("job-1", "a")
    assert read(artefacts, "job-1", "b") == b"same"


def test_a_file_that_is_not_there_is_named_with_those_that_are(artefacts):
    with pytest.raises(MissingArtefactError, match="job job-1 has no file 'x'; it has none"):
        artefacts.find("job-1", "x")
    put(artefacts, "job-1", "final.tar", b"x")
    with pytest.raises(MissingArtefactError, match=r"has no file '\.\./x'; it has final.tar"):
        artefacts.find("job-1", "../x")


def test_putting_again_replaces(artefacts):
    old = put(artefacts, "job-1", "report.json", b"old", REPORT)
    put(artefacts, "job-1", "report.json", b"newer", REPORT)
    assert read(artefacts, "job-1", "report.json") == b"newer"
    assert len(artefacts.entries("job-1")) == 1
    with pytest.raises(MissingArtefactError, match=r"'report.json' of job job-1 was just replaced or deleted; ask ag"):
        artefacts.open("job-1", old)


def test_who_reads_a_file_that_is_replaced_or_deleted_reads_on(artefacts):
    with artefacts.open("job-1", put(artefacts, "job-1", "a", b"0123456789")) as stream:
        assert stream.read(3) == b"012"
        put(artefacts, "job-1", "a", b"other")
        artefacts.delete("job-1", "a")
        assert stream.read() == b"3456789"


def test_what_breaks_off_while_it_is_written_leaves_nothing(artefacts):
    def break_off(stream):
        stream.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        artefacts.put("job-1", "a", CHECKPOINT, break_off)
    assert artefacts.entries("job-1") == ()
    put(artefacts, "job-1", "a", b"whole")
    with pytest.raises(OSError, match="disk full"):
        artefacts.put("job-1", "a", CHECKPOINT, break_off)
    assert read(artefacts, "job-1", "a") == b"whole"


def test_deleting_is_safe_to_repeat(artefacts):
    put(artefacts, "job-1", "a", b"x")
    for _ in range(2):
        artefacts.delete("job-1", "a")
    artefacts.delete("job-2", "a")
    assert artefacts.entries("job-1") == ()


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_might_lead_elsewhere_are_refused(artefacts, name):
    with pytest.raises(InvalidNameError, match="cannot name a file; allowed: letters, digits"):
        put(artefacts, "job-1", name, b"x")
    with pytest.raises(InvalidNameError, match="cannot name a file"):
        put(artefacts, name, "a", b"x")


def test_threads_that_put_at_once_lose_no_file(artefacts):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: put(artefacts, "job-1", f"file{i}", b"%d" % i), range(30)))
    assert len(artefacts.entries("job-1")) == 30
    assert all(read(artefacts, "job-1", f"file{i}") == b"%d" % i for i in range(30))


def test_readers_of_a_file_that_is_replaced_all_the_time_never_see_a_mixture(artefacts):
    contents = [bytes([65 + i]) * 5000 for i in range(4)]
    put(artefacts, "job-1", "a", contents[0])

    def write(i):
        for _ in range(10):
            put(artefacts, "job-1", "a", contents[i])

    def look(_):
        seen = set()
        for _ in range(40):
            artefact = artefacts.find("job-1", "a")
            try:
                with artefacts.open("job-1", artefact) as stream:
                    content = stream.read()
            except MissingArtefactError:  # replaced since it was found
                continue
            assert hashlib.sha256(content).hexdigest() == artefact.sha256
            seen.add(content)
        return seen

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, i) for i in range(3)]
        readers = [pool.submit(look, i) for i in range(3)]
        assert set().union(*(reader.result() for reader in readers)) <= set(contents)
        assert [writer.result() for writer in writers] == [None] * 3


def test_safe_names_are_those_of_jobs_and_checkpoints():
    require_safe("demo-1f2e3d4c", "step-3.5x-2.tar", "report.json", "a" * 128)


def test_the_error_of_a_missing_file_names_all_that_are_there():
    there = (Artefact("a", REPORT, 1, ""), Artefact("b", REPORT, 1, ""))
    assert str(missing("job-1", "c", there)) == "job job-1 has no file 'c'; it has a, b"


def test_a_job_is_cleared_of_all_its_files_and_others_keep_theirs(artefacts):
    for job_id in ("job-1", "job-2"):
        put(artefacts, job_id, "final.tar", b"x")
        put(artefacts, job_id, "report.json", b"x", REPORT)
    artefacts.clear("job-1")
    artefacts.clear("job-3")
    assert artefacts.entries("job-1") == ()
    assert len(artefacts.entries("job-2")) == 2
    with pytest.raises(InvalidNameError, match="cannot name a file"):
        artefacts.clear("..")
