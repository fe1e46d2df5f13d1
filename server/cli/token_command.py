"""Commands for the tokens of a server, run by its operator where its home lies; the server need not run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from server.auth.tokens import Role, Token, new_token
from server.cli.options import Database, Home
from server.cli.output import Json, note, print_json, print_table
from server.limits import GB
from server.settings import Settings, read_settings

DEFAULT_HOME = Settings().home

app = typer.Typer(
    help="Make, list and revoke the tokens that a server asks for.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def create(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="The user whose jobs are submitted with the token.")],
    role: Annotated[Role, typer.Option(help="user: sees the owner's jobs; admin: everybody's.")] = Role.USER,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs of the owner that may wait or run at once [default: any number].")
    ] = None,
    upload_gb: Annotated[
        float | None, typer.Option(min=0, help="GB that uploads of the owner may take [default: any number].")
    ] = None,
    home: Home = DEFAULT_HOME,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a token and print its secret, which is shown this once and kept nowhere.

    From the first token on the server asks everybody for one.

    Example: shrinkml token create anna
    """
    from server.auth.home_tokens import tokens_in

    max_bytes = None if upload_gb is None else int(upload_gb * GB)
    token, secret = new_token(owner, role=role, max_jobs=jobs, max_bytes=max_bytes)
    with tokens_in(_url(home, database), make=True) as tokens:
        tokens.add(token)
    print_json({**_shown(token), "token": secret}) if as_json else print(secret)
    note(f"Token {token.id} of {owner} ({role}); it is shown this once. `shrinkml` takes it from SHRINKML_TOKEN.")


@app.command("list")
def list_tokens(home: Home = DEFAULT_HOME, database: Database = None, as_json: Json = False) -> None:
    """List the tokens, revoked ones too.

    Example: shrinkml token list
    """
    from server.auth.home_tokens import tokens_in

    with tokens_in(_url(home, database)) as tokens:
        shown = [_shown(token) for token in tokens.all()]
    if as_json:
        print_json(shown)
    else:
        columns = ("token", "owner", "role", "jobs", "upload bytes", "made (UTC)", "revoked (UTC)")
        print_table(columns, [[str(value or "") for value in token.values()] for token in shown])


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the token; `shrinkml token list` shows it.")],
    home: Home = DEFAULT_HOME,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Revoke a token: from now on it opens nothing. Jobs that were submitted with it go on.

    Example: shrinkml token revoke 1f2e3d4c
    """
    from server.auth.home_tokens import tokens_in

    with tokens_in(_url(home, database)) as tokens:
        token = tokens.revoke(token_id)
    print_json(_shown(token)) if as_json else print(f"token {token.id} of {token.owner} is revoked")


def _url(home: Path, database: str | None) -> str:
    """Return the address of the server's database."""
    return read_settings(home=home, database=database).database_url


def _shown(token: Token) -> dict[str, Any]:
    """Return what is told of a token, in the order of columns: all but the hash of its secret."""
    return {
        "id": token.id,
        "owner": token.owner,
        "role": token.role,
        "max_jobs": token.max_jobs,
        "max_bytes": token.max_bytes,
        "created_at": f"{token.created_at:%Y-%m-%dT%H:%M:%S}Z",
        "revoked_at": token.revoked_at and f"{token.revoked_at:%Y-%m-%dT%H:%M:%S}Z",
    }
