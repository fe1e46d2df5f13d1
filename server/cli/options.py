"""Options that several commands share, and those of the service's settings."""

from typing import Annotated, Any

import typer

from server.settings import variable_of, words_of


def setting(name: str, *flags: str, **more: Any) -> Any:
    """Return the option `flags` of the setting `name`, with its words and its variable; `more` as typer has it."""
    return typer.Option(*flags, envvar=variable_of(name), help=words_of(name), **more)


AllowHub = Annotated[bool, setting("allow_hub", "--allow-hub")]
