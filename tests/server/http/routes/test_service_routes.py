import shrinkml


def test_the_version_is_told(http):
    assert http.get("/v1/version").json() == {"shrinkml": shrinkml.__version__, "api": "v1"}
