"""The operator's choices, read once from the command line and the environment."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from server.limits import Limits
from shrinkml.errors import ConfigError
from shrinkml.transport import is_loopback

DEFAULT_HOME = Path("runs/server")
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


class Settings(BaseModel):
    """The server's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(DEFAULT_HOME, description="Folder of the database, the log and the jobs' files.")
    host: str = Field(DEFAULT_HOST, description="Address to listen on.")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    data_roots: tuple[Path, ...] = Field(
        (Path(),),
        min_length=1,
        description="Folders that jobs may read; relative paths in a job start at the first one.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Names that the server is reached by, beside localhost and addresses in figures."
    )
    insecure: bool = Field(
        False, description="True: the server may listen where other machines reach it though it has no tokens."
    )
    limits: Limits = Field(Limits(), description="Limits on requests and jobs.")
    allow_hub: bool = Field(False, description="True: jobs may name models of the Hugging Face hub, to be fetched.")


def check_protected(settings: Settings, *, has_tokens: bool) -> None:
    """Return where the service asks for tokens, nobody but this machine reaches it, or its operator insists.

    Raises:
        ConfigError: other machines would reach it without a token.
    """
    if not has_tokens and not settings.insecure and not is_loopback(f"http://{bracketed(settings.host)}"):
        raise ConfigError(
            f"other machines reach {settings.host}, and without tokens whoever reaches this service may read and write "
            f"all that it may. Make one (`shrinkml token create OWNER --home {settings.home}`), listen on 127.0.0.1, "
            "or say --insecure"
        )


def bracketed(host: str) -> str:
    """Return `host` as a URL has it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
