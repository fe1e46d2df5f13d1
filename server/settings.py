"""The operator's choices, read once from the command line and the environment."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from server.home import database_url
from server.limits import Limits, parse_limits
from server.log_lines import LogFormat
from shrinkml.errors import ConfigError

# As browsers send it: no path, and no port that goes without saying.
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.-]+(:[0-9]+)?$")]


class Settings(BaseModel):
    """The server's settings: the one place where they are declared. `shrinkml serve` has an option for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(Path("runs/server"), description="Folder of the database, the logs and the jobs' files.")
    database: SecretStr | None = Field(
        None,
        description="Database of Postgres (postgresql://USER:PASSWORD@HOST/NAME) that several servers and workers "
        "share; a file in the home unless given.",
    )
    files: Path | None = Field(
        None, description="Folder of the jobs' files, for all who share the database; the home unless given."
    )
    worker: bool = Field(True, description="Run jobs beside the server; without, `shrinkml worker` does it elsewhere.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8765, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    data_roots: tuple[Path, ...] = Field(
        (Path(),),
        min_length=1,
        description="Folders that jobs may read; relative paths in a job start at the first one. For several repeat "
        "the option, or put colons between them in the variable.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names that the server is reached by, beside localhost and addresses in figures. For several "
        "repeat the option, or put blanks between them in the variable.",
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        description="Origins of other sites whose pages may ask (CORS), such as https://example.org. For several "
        "repeat the option, or put blanks between them in the variable.",
    )
    insecure: bool = Field(
        False,
        description="Listen where other machines reach the service though it has no tokens and serves them all.",
    )
    limits: Limits = Field(
        Limits(),
        description="Limits on requests and jobs, such as jobs_waiting=4. For several repeat the option, or put blanks "
        "between them in the variable.",
    )
    log_format: LogFormat = Field(
        LogFormat.TEXT, description=f"Format of the logs: {' or '.join(LogFormat)} (an object a line, for programs)."
    )
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Networks that webhooks may reach though they are not public, such as 10.1.0.0/16. For several "
        "repeat the option, or put blanks between them in the variable.",
    )
    allow_hub: bool = Field(
        False,
        description="Jobs may name models of the Hugging Face hub (hf:openai/whisper-tiny), which are then fetched.",
    )

    @property
    def database_url(self) -> str:
        """The address of the database."""
        return database_url(self.home, self.database.get_secret_value() if self.database else None)

    @property
    def jobs_files(self) -> Path:
        """The folder of the jobs' files."""
        return self.files or self.home


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as it is told.

    Attributes:
        name: of the field, with dots ("limits.jobs_waiting").
        variable: of the environment, that sets it.
        value: of it now, as JSON has it.
        default: its value unless it is set.
        words: its use.
    """

    name: str
    variable: str
    value: Any
    default: Any
    words: str


def variable_of(name: str) -> str:
    """Return the variable of the environment that sets the field `name`."""
    return f"SHRINKML_{name.upper()}"


def words_of(name: str) -> str:
    """Return the use of the field `name`."""
    return str(Settings.model_fields[name].description)


def read_settings(**given: Any) -> Settings:
    """Return the settings with those that `given` sets; of what is None or empty the defaults hold.

    Args:
        given: field -> value, of `limits` a list of assignments ("jobs_waiting=4").

    Raises:
        ConfigError: a limit that there is not, a value that it or a setting cannot have, or a database that is none of
            Postgres.
    """
    fields = {name: value for name, value in given.items() if value not in (None, [], (), "")}
    if "database" in fields:
        fields["database"] = checked_database(fields["database"])
    try:
        return Settings.model_validate({**fields, "limits": parse_limits(fields.get("limits", ()))})
    except ValidationError as error:
        wrong = "; ".join(
            f"{variable_of(str(e['loc'][0]))}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors()
        )
        raise ConfigError(f"{wrong}; `shrinkml settings` tells the use of each") from error


def checked_database(url: str) -> str:
    """Return `url`, where it may be that of a database of Postgres; the password in it is not told.

    Raises:
        ConfigError: it is none.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres") or not separator or not rest:
        raise ConfigError(
            f"--database: a URL such as postgresql://USER:PASSWORD@HOST/NAME is wanted, and this begins with "
            f"{scheme[:20]!r}; without it the database is a file in the home"
        )
    return f"postgresql://{rest}"


def listed(settings: Settings) -> list[Setting]:
    """Return every setting with its value in `settings`; each limit is one."""
    values, defaults = settings.model_dump(mode="json"), Settings().model_dump(mode="json")
    found = [
        Setting(name, variable_of(name), values[name], defaults[name], words_of(name))
        for name in Settings.model_fields
        if name != "limits"
    ]
    limits = [
        Setting(
            f"limits.{name}",
            variable_of("limits"),
            values["limits"][name],
            defaults["limits"][name],
            str(field.description),
        )
        for name, field in Limits.model_fields.items()
    ]
    return found + limits


def check_protected(settings: Settings, *, has_tokens: bool) -> None:
    """Return where the service asks for tokens, nobody but this machine reaches it, or its operator insists.

    Raises:
        ConfigError: other machines would reach it without a token.
    """
    # It needs httpx, and commands that work without a server take their options from this module.
    from shrinkml.transport import is_loopback

    if not has_tokens and not settings.insecure and not is_loopback(f"http://{bracketed(settings.host)}"):
        raise ConfigError(
            f"other machines reach {settings.host}, and without tokens whoever reaches this service may read and write "
            f"all that it may. Make one (`shrinkml token create OWNER --home {settings.home}`), listen on 127.0.0.1, "
            "or say --insecure"
        )


def check_shared(settings: Settings) -> None:
    """Return where jobs that one process takes on can be run by another one.

    Raises:
        ConfigError: nobody shares the database, which lies in the home.
    """
    if settings.database is None:
        raise ConfigError(
            "a server without a worker, or a worker without a server, wants the database that it shares with others: "
            "name it with --database (SHRINKML_DATABASE)"
        )


def bracketed(host: str) -> str:
    """Return `host` as a URL has it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
