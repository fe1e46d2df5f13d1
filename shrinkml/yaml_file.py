"""Reading a YAML file that a user wrote."""

from pathlib import Path
from typing import Any

import yaml

from shrinkml.errors import ConfigError


def read_yaml(path: Path, *, kind: str, like: str) -> Any:
    """The value in the YAML file `path`.

    Args:
        path: the file.
        kind: what it should be, for the error message.
        like: a file to take as an example, likewise.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no {kind} {path}; write one like {like}") from None
    except OSError as error:
        raise ConfigError(f"{path} is no {kind} ({error.strerror}); write one like {like}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no valid YAML: {error}; write a {kind} like {like}") from error
