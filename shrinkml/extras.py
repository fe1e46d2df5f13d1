"""The packages that parts of ShrinkML need beyond its core, and the extra that brings each (`shrinkml[hf]`).

The core loads, transcribes and evaluates a checkpoint of ours. What else imports a package of an extra does so when it
is used, and where users enter it says what to install.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shrinkml.errors import MissingPackageError

# Extra -> the packages that it brings, as they are imported. The first extra that brings a package is recommended.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "hf": ("transformers", "tokenizers", "huggingface_hub", "httpx2", "sentencepiece"),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "search": (
        "gymnasium",
        "stable_baselines3",
        "sb3_contrib",
        "optuna",
        "ray",
        "threadpoolctl",
        "tensorboardX",
        "pydantic",
        "yaml",
        "espeakng_loader",
    ),
    "report": ("jinja2", "markupsafe", "plotly", "pydantic", "yaml"),
    "server": (
        "fastapi",
        "starlette",
        "anyio",
        "uvicorn",
        "uvloop",
        "h11",
        "sqlalchemy",
        "limits",
        "alembic",
        "psycopg",
        "prometheus_client",
        "typer",
        "rich",
        "httpx",
        "httpcore",
        "standardwebhooks",
        "pydantic",
    ),
}


def extra_with(package: str) -> str | None:
    """The extra that brings `package`, named as it is imported; None where none does."""
    return next((extra for extra, packages in EXTRAS.items() if package in packages), None)


@contextmanager
def needs(user: str) -> Iterator[None]:
    """Say which extra is missing where an import inside fails for a package of one.

    Args:
        user: the part of ShrinkML that imports, for the message ("the export").

    Raises:
        MissingPackageError: a package of an extra is not installed. Other failed imports pass through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        extra = extra_with(package)
        if extra is None:
            raise
        raise MissingPackageError(
            f"{user} needs {package}, which is not installed; install shrinkml[{extra}]"
        ) from error
