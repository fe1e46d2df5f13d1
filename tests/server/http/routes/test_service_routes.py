import shrinkml


def test_the_version_is_told(http):
    assert http.get("/v1/version").json() == {"shrinkml": shrinkml.__version__, "api": "v1"}


def test_the_bundled_models_are_listed(http):
    for model in http.get("/v1/models").json()["items"]:
        assert model["name"].startswith("reference/")
        assert 0 < model["parameters"] * 2 <= model["bytes"]
