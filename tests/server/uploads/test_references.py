import pytest

from server.jobs.admission import admit
from server.uploads.references import located, no_uploads, uploads_of
from server.uploads.upload_state import UploadKind
from shrinkml.errors import UnknownNameError
from shrinkml.job import parse_job, resolved
from tests.server.uploads.conftest import ANNA, begin, send, tar_of


@pytest.fixture
def model(ready):
    return ready(UploadKind.MODEL, ANNA)


@pytest.fixture
def dataset(ready):
    return ready(UploadKind.DATASET, ANNA)


def job(model: str, dataset: str):
    data = {split: f"{dataset}/{split}.jsonl" for split in ("train", "dev", "test")}
    return parse_job({"model": model, "data": data, "goal": {"compression_ratio": 3.0}})


def test_a_job_of_uploads_is_admitted_as_it_names_them_and_runs_with_their_paths(
    uploads, model, dataset, data_folder, tmp_path
):
    spec = job(model.reference, dataset.reference)
    assert uploads_of(spec) == {model.id, dataset.id}
    assert resolved(spec, tmp_path) == spec
    admitted = admit(spec, [data_folder], locate=lambda it: located(it, uploads, owner="anna"))
    assert admitted == spec
    found, folders = located(spec, uploads)
    assert found.model == str(uploads.place_of(model).resolve())
    assert found.data.dev == str(uploads.place_of(dataset).resolve() / "dev.jsonl")
    assert set(folders) == {uploads.place_of(model).resolve(), uploads.place_of(dataset).resolve()}


def test_uploads_and_paths_of_the_operator_go_together(uploads, model, data_folder, request_body):
    spec = parse_job({**request_body, "model": model.reference})
    admitted = admit(spec, [data_folder], locate=lambda it: located(it, uploads))
    assert (admitted.model, admitted.data.dev) == (model.reference, str(data_folder / "dev.jsonl"))


def test_the_only_manifest_of_a_data_set_needs_no_name(uploads, dataset_files):
    kept = {name: content for name, content in dataset_files.items() if name[:3] == "dev"}
    upload = send(uploads, UploadKind.DATASET, tar_of(kept))
    spec = parse_job({"model": "m", "data": {"dev": upload.reference, "test": "t"}, "goal": {"compression_ratio": 2}})
    assert located(spec, uploads)[0].data.dev == str(uploads.place_of(upload).resolve() / "dev.jsonl")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("upload:none", "model: no model was uploaded as 'none'; GET /v1/models lists yours"),
        ("{dataset}", "model: no model was uploaded as"),
        ("{model}/config.json", "config.json is nothing in that upload; allowed: {model}"),
        ("{waiting}", "model: upload .* is receiving; name it when it is ready"),
    ],
)
def test_a_model_that_is_none_of_the_owners_or_not_ready_is_refused(uploads, model, dataset, field, message):
    waiting = begin(uploads, UploadKind.MODEL, b"x", ANNA)
    names = {"model": model.reference, "dataset": dataset.reference, "waiting": waiting.reference}
    with pytest.raises(UnknownNameError, match=message.format(**names)):
        located(job(field.format(**names), dataset.reference), uploads, owner="anna")


def test_a_manifest_is_named_with_those_that_there_are(uploads, dataset):
    for name in ("", "/", "/../dev.jsonl", "/dev0.wav"):
        data = {"dev": f"{dataset.reference}{name}", "test": "t"}
        spec = parse_job({"model": "m", "data": data, "goal": {"compression_ratio": 2}})
        with pytest.raises(UnknownNameError, match=rf"data.dev: .* allowed: {dataset.reference}/dev.jsonl, "):
            located(spec, uploads)


def test_what_somebody_else_has_sent_is_answered_as_what_there_is_not(uploads, model, dataset):
    with pytest.raises(UnknownNameError, match=f"no model was uploaded as '{model.id}'"):
        located(job(model.reference, dataset.reference), uploads, owner="bert")


def test_without_uploads_none_can_be_named(request_body):
    assert no_uploads(parse_job(request_body)) == (parse_job(request_body), [])
    with pytest.raises(UnknownNameError, match="model: no upload 'upload:x'"):
        no_uploads(parse_job({**request_body, "model": "upload:x"}))


@pytest.mark.parametrize("field", ["search.policy", "vocabulary_texts"])
def test_other_fields_take_paths_alone(request_body, data_folder, field):
    body = {**request_body, "vocabulary": "auto"}
    body |= {"search": {"policy": "upload:x"}} if field == "search.policy" else {field: "upload:x"}
    spec = resolved(parse_job(body), data_folder)
    assert str(data_folder / "upload:x") in (spec.search.policy, spec.vocabulary_texts)
