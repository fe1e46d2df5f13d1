"""Every operation of the OpenAPI document, asked by everybody, over a socket: a new one cannot be forgotten."""

import logging
from dataclasses import dataclass, replace

import httpx
import pytest

from server.artefacts.artefact_store import ArtefactKind
from server.auth.caller import Caller
from server.auth.request_rates import RequestRates
from server.auth.tokens import Role, new_token
from server.http.app import create_app
from server.jobs.job_state import Job
from server.uploads.upload_state import UploadKind
from server.webhooks.endpoints import new_endpoint

DOCUMENT = create_app(services=None).openapi()
OPERATIONS = [
    (verb, path)
    for path, methods in DOCUMENT["paths"].items()
    for method in methods
    for verb in ((method.upper(), "HEAD") if method == "get" else (method.upper(),))
]
OPEN = ("/healthz", "/readyz")  # which tell nothing of jobs
GUARDED = [operation for operation in OPERATIONS if operation[1] not in OPEN]
OF_A_JOB = [operation for operation in GUARDED if "{job_id}" in operation[1]]
OF_AN_UPLOAD = [operation for operation in GUARDED if "{upload_id}" in operation[1]]
OF_A_WEBHOOK = [operation for operation in GUARDED if "{webhook_id}" in operation[1]]
OF_ALL = [operation for operation in GUARDED if operation not in OF_A_JOB + OF_AN_UPLOAD + OF_A_WEBHOOK]
URL = "https://example.org/hook"
STRANGERS = ("nobody", "wrong", "revoked")
FILES = {"report.json": ArtefactKind.REPORT, "policy.json": ArtefactKind.POLICY, "final.tar": ArtefactKind.CHECKPOINT}
ARCHIVE = {"name": "x.tar", "bytes": 2, "sha256": "0" * 64}
CONTENT = b"{}"  # as long as that is
UNAUTHENTICATED = "urn:shrinkml:problem:unauthenticated"


@pytest.fixture
def secrets(services) -> dict[str, str | None]:
    """Who asks -> the secret that they send."""
    found: dict[str, str | None] = {"nobody": None, "wrong": "x" * 43}
    for name, owner, role in (
        ("revoked", "anna", Role.USER),
        ("owner", "anna", Role.USER),
        ("other user", "bert", Role.USER),
        ("admin", "root", Role.ADMIN),
    ):
        token, found[name] = new_token(owner, role=role)
        services.tokens.add(token)
        if name == "revoked":
            services.tokens.revoke(token.id)
    return found


@pytest.fixture
def job(services, spec) -> Job:
    """A job of anna's of which everything can be asked: cancelled, with all files that a job leaves."""
    job = made(services, spec, "anna")
    for name, kind in FILES.items():
        services.artefacts.put(job.id, name, kind, lambda stream: stream.write(b"{}"))
    return job


@pytest.fixture
def uploads(services) -> dict[str, str]:
    """Where uploads of anna's lie -> their ids: nothing has been sent of them, so everything can be asked."""
    return {kind.path: begun(services, kind, "anna") for kind in UploadKind}


def begun(services, kind: UploadKind, owner: str | None) -> str:
    caller = Caller(owner, Role.USER)
    return services.uploads.begin(kind, "x.tar", len(CONTENT), "1" * 64, caller)[0].id


def made(services, spec, owner: str | None) -> Job:
    return services.store.cancel(services.store.submit(spec, max_queued=9, owner=owner)[0].id)


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks the server as one of the callers.

    Attributes:
        http: a client.
        secrets: of the callers.
        bodies: path -> what is posted there.
        webhook_id: of a webhook of anna's.
        uploads: where uploads lie -> the id of one of anna's.
    """

    http: httpx.Client
    secrets: dict[str, str | None]
    bodies: dict[str, dict[str, object]]
    webhook_id: str
    uploads: dict[str, str]

    def __call__(
        self,
        who: str,
        method: str,
        path: str,
        job_id: str = "tiny-00000000",
        webhook_id: str | None = None,
        upload_id: str | None = None,
    ) -> httpx.Response:
        secret = self.secrets[who]
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        sent = {"json": self.bodies.get(path)} if method == "POST" else {"content": CONTENT} if method == "PUT" else {}
        ids = {"webhook_id": webhook_id or self.webhook_id}
        ids["upload_id"] = upload_id or self.uploads.get(path.partition("/{")[0], "")
        place = path.format(job_id=job_id, name="final.tar", **ids)
        return self.http.request(method, place, headers=headers, **sent)


@pytest.fixture
def ask(http, services, secrets, request_body, uploads) -> Asking:
    webhook = new_endpoint(URL, "anna")
    services.webhooks.add(webhook, most=9)
    bodies = {"/v1/jobs": request_body, "/v1/webhooks": {"url": URL}, **dict.fromkeys(uploads, ARCHIVE)}
    return Asking(http, secrets, bodies, webhook.id, uploads)


def test_the_table_has_rows_of_every_kind():
    assert len(OF_A_JOB) > 12
    assert len(OF_AN_UPLOAD) == 8
    assert {path for _, path in GUARDED} >= {"/v1/jobs", "/v1/models", "/v1/version"}
    assert all(path.startswith("/v1/") or path == "/metrics" for _, path in GUARDED)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_good_token_nothing_is_answered(ask, job, services, method, path):
    for who in STRANGERS:
        response = ask(who, method, path, job.id)
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert response.headers["Content-Type"] == "application/problem+json"
        if method != "HEAD":
            assert response.json()["type"] == UNAUTHENTICATED
            assert "`shrinkml token create`" in response.json()["detail"]
    assert services.store.page(limit=9) == [job]
    assert len(services.uploads.rows.all()) == 2
    assert services.uploads.folder.names()["received"] == set()
    assert [webhook.id for webhook in services.webhooks.all()] == [ask.webhook_id]


@pytest.mark.parametrize("who", ["owner", "admin"])
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_an_owner_and_an_admin_are_answered(ask, job, method, path, who):
    assert ask(who, method, path, job.id).is_success


@pytest.mark.parametrize(("method", "path"), OF_A_JOB)
def test_a_job_of_somebody_else_is_answered_as_one_that_there_is_not(ask, job, services, spec, method, path):
    nobodys = made(services, spec, None)
    before = services.store.page(limit=9)
    unknown = ask("other user", method, path)
    assert unknown.status_code == 404
    for known in (job, nobodys):
        response = ask("other user", method, path, known.id)
        assert response.status_code == 404
        assert response.text.replace(known.id, "tiny-00000000") == unknown.text
        assert lasting(response) == lasting(unknown)
    assert services.store.page(limit=9) == before
    assert len(services.artefacts.entries(job.id)) == len(FILES)


@pytest.mark.parametrize(("method", "path"), OF_AN_UPLOAD)
def test_an_upload_of_somebody_else_is_answered_as_one_that_there_is_not(ask, services, method, path):
    kind = next(kind for kind in UploadKind if path.startswith(f"{kind.path}/"))
    nobodys = begun(services, kind, None)
    before = services.uploads.rows.all()
    strange = "0" * 16
    unknown = ask("other user", method, path, upload_id=strange)
    assert unknown.status_code == 404
    for known in (ask.uploads[kind.path], nobodys):
        response = ask("other user", method, path, upload_id=known)
        assert response.status_code == 404
        assert response.text.replace(known, strange) == unknown.text
        assert lasting(response) == lasting(unknown)
    assert services.uploads.rows.all() == before
    assert services.uploads.folder.names()["received"] == set(), "nothing is taken in"


def lasting(response: httpx.Response) -> dict[str, str]:
    """The headers that are the same whenever the same is asked."""
    return {name: value for name, value in response.headers.items() if name not in ("date", "x-request-id")}


@pytest.mark.parametrize(("method", "path"), OF_A_WEBHOOK)
def test_a_webhook_of_somebody_else_is_answered_as_one_that_there_is_not(ask, services, method, path):
    nobodys = new_endpoint(URL, None)
    services.webhooks.add(nobodys, most=9)
    unknown = ask("other user", method, path, webhook_id="00000000")
    assert unknown.status_code == 404
    for known in (ask.webhook_id, nobodys.id):
        response = ask("other user", method, path, webhook_id=known)
        assert response.status_code == 404
        assert response.text.replace(known, "00000000") == unknown.text
        assert lasting(response) == lasting(unknown)
    assert len(services.webhooks.all()) == 2


def test_webhooks_are_listed_to_their_owner_and_to_admins_and_never_with_their_secrets(ask, services):
    mine = ask("other user", "POST", "/v1/webhooks").json()
    assert mine["owner"] == "bert"
    listed = {who: ask(who, "GET", "/v1/webhooks") for who in ("owner", "other user", "admin")}
    ids = {who: [one["id"] for one in answer.json()["items"]] for who, answer in listed.items()}
    assert ids == {
        "owner": [ask.webhook_id],
        "other user": [mine["id"]],
        "admin": [ask.webhook_id, mine["id"]],
    }
    told = "".join(answer.text for answer in listed.values())
    assert not [webhook for webhook in services.webhooks.all() if webhook.secret in told]


@pytest.mark.parametrize(("method", "path"), OF_ALL)
def test_what_is_of_nobody_is_answered_to_every_user(ask, job, method, path):
    assert ask("other user", method, path).is_success


@pytest.mark.parametrize("path", OPEN)
def test_health_is_told_to_everybody(ask, path):
    assert {ask(who, "GET", path).status_code for who in ask.secrets} == {200 if path == "/healthz" else 503}
    assert "the worker is being started again" in ask("nobody", "GET", "/readyz").text


def test_the_document_says_where_a_token_is_needed():
    assert DOCUMENT["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert ("security" in operation, "401" in operation["responses"]) == (path not in OPEN,) * 2, path


def test_lists_show_ones_own_jobs_and_an_admin_all(ask, services, spec):
    ids = {owner: made(services, spec, owner).id for owner in ("anna", "bert", None)}

    def listed(who: str) -> list[str]:
        return [it["id"] for it in ask(who, "GET", "/v1/jobs").json()["items"]]

    assert listed("owner") == [ids["anna"]]
    assert listed("other user") == [ids["bert"]]
    assert listed("admin") == [ids[None], ids["bert"], ids["anna"]]


@pytest.mark.parametrize("kind", UploadKind)
def test_lists_show_ones_own_uploads_and_an_admin_all(ask, services, kind):
    ids = {"anna": ask.uploads[kind.path], "bert": begun(services, kind, "bert")}

    def listed(who: str) -> list[str]:
        return [it["id"] for it in ask(who, "GET", kind.path).json()["uploads"]]

    assert listed("owner") == [ids["anna"]]
    assert listed("other user") == [ids["bert"]]
    assert listed("admin") == [ids["bert"], ids["anna"]]


def test_pages_of_ones_own_jobs_lead_over_those_of_others(ask, services, spec):
    ids = [made(services, spec, owner).id for owner in ("anna", "bert", "anna", "bert", "anna")]
    seen, following = [], "/v1/jobs?limit=1"
    while following:
        page = ask("owner", "GET", following).json()
        seen += [it["id"] for it in page["items"]]
        following = page["next"]
    assert seen == [ids[4], ids[2], ids[0]]


def test_a_job_is_its_submitters_and_so_is_the_key_that_it_came_with(ask, http):
    def submitted(who: str) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {ask.secrets[who]}", "Idempotency-Key": "k"}
        return http.post("/v1/jobs", json=ask.bodies["/v1/jobs"], headers=headers).json()

    first, other = submitted("owner"), submitted("other user")
    assert (first["owner"], other["owner"]) == ("anna", "bert")
    assert first["id"] != other["id"]
    assert submitted("owner") == first


def test_who_has_as_many_jobs_as_the_token_allows_is_told_the_limit(ask, services):
    token, ask.secrets["limited"] = new_token("carla", max_jobs=1)
    services.tokens.add(token)
    first = ask("limited", "POST", "/v1/jobs").json()
    ask("limited", "POST", "/v1/jobs/{job_id}/cancel", first["id"])
    assert ask("limited", "POST", "/v1/jobs").status_code == 202
    for path in ("/v1/jobs", "/v1/jobs/{job_id}/resume"):
        refused = ask("limited", "POST", path, first["id"])
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:shrinkml:problem:owner-limit")
        assert "1 jobs of carla wait or run already and the token allows 1 at once" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) > 0
    assert ask("owner", "POST", "/v1/jobs").status_code == 202


def test_a_token_counts_from_the_request_after_it_was_made_and_to_the_one_before_it_was_revoked(http, services):
    assert http.get("/v1/jobs").is_success
    token, secret = new_token("anna")
    services.tokens.add(token)
    assert http.get("/v1/jobs").status_code == 401
    assert http.get("/v1/jobs", headers={"Authorization": f"bearer {secret}"}).is_success
    services.tokens.revoke(token.id)
    assert http.get("/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_token_that_asks_too_often_is_told_when_to_go_on_and_takes_nothing_from_others(ask, http, services, server):
    server[1].state.services = replace(services, rates=RequestRates(2))
    assert [ask("owner", "GET", "/v1/jobs").status_code for _ in range(2)] == [200, 200]
    refused = ask("owner", "GET", "/v1/version")
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:shrinkml:problem:rate-limit")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert ask("other user", "GET", "/v1/version").status_code == 200
    assert [ask("wrong", "GET", "/v1/version").status_code for _ in range(3)] == [401] * 3
    assert http.get("/healthz").status_code == 200


def test_without_tokens_nobody_asks_too_often(http, services, server):
    server[1].state.services = replace(services, rates=RequestRates(1))
    headers = {"Authorization": "Bearer nothing"}
    assert [http.get("/v1/version", headers=headers).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("given", ["Basic YTpi", "Bearer", "x", "Bearer \xe4", "Bearer a b"])
def test_what_is_no_token_opens_nothing(http, secrets, given):
    response = http.get("/v1/jobs", headers={"Authorization": given.encode("latin-1")})
    assert (response.status_code, response.json()["type"]) == (401, UNAUTHENTICATED)


def test_no_secret_is_in_a_log_or_an_answer(ask, job, caplog, services):
    with caplog.at_level(logging.DEBUG, logger="server"):
        answers = [ask(who, method, path, job.id) for method, path in GUARDED for who in ask.secrets]
    told = caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)
    assert "unauthenticated (401)" in caplog.text
    kept = [secret for secret in ask.secrets.values() if secret] + [token.digest for token in services.tokens.all()]
    kept += [webhook.secret for webhook in services.webhooks.all() if webhook.id == ask.webhook_id]
    assert not [secret for secret in kept if secret in told]


def test_pages_of_other_origins_are_given_no_leave(http, secrets):
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for response in (
        http.options("/v1/jobs", headers=preflight),
        http.get("/v1/jobs", headers={"Origin": "http://evil.example", "Authorization": f"Bearer {secrets['owner']}"}),
        http.get("/v1/jobs", headers={"Authorization": f"Bearer {secrets['owner']}"}),
    ):
        assert not [name for name in response.headers if name.startswith("access-control-")]
