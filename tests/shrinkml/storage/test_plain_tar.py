import io
import os
import tarfile

from shrinkml.storage.plain_tar import write_plain_tar


def test_the_same_files_under_the_same_names_give_the_same_bytes(tmp_path):
    def tar() -> bytes:
        stream = io.BytesIO()
        write_plain_tar([("b", tmp_path / "x"), ("folder", tmp_path), ("a", tmp_path / "x")], stream)
        return stream.getvalue()

    (tmp_path / "x").write_bytes(b"abc")
    first = tar()
    (tmp_path / "x").chmod(0o700)
    os.utime(tmp_path / "x", (1, 1))
    assert tar() == first
    with tarfile.open(fileobj=io.BytesIO(first)) as found:
        assert found.getnames() == ["b", "folder", "a"], "in that order"
        assert found.extractfile("a").read() == b"abc"
        assert {(it.mtime, it.uid, it.uname, it.mode & 0o777) for it in found} == {(0, 0, "", 0o644), (0, 0, "", 0o755)}
