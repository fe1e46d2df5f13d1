from server.auth.sql_tokens import SqlTokens
from server.uploads.sql_uploads import SqlUploads
from server.uploads.upload_state import UploadKind, new_upload
from tests.server.stores.migrations.earlier_databases import WITH_OWNERS


def test_tokens_that_were_there_bound_no_uploads_and_there_are_none_yet(opened):
    engine = opened(WITH_OWNERS)
    assert [token.max_bytes for token in SqlTokens(engine).all()] == [None]
    rows = SqlUploads(engine)
    assert rows.all() == []
    upload = new_upload(UploadKind.MODEL, "x.tar", 1, "0" * 64, owner="anna")
    assert rows.begin(upload, most=1) == (upload, True)
