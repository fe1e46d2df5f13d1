"""The operator's choices, read once from the command line and the environment."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_HOME = Path("runs/server")
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
DEFAULT_MAX_QUEUED = 16


class Settings(BaseModel):
    """The server's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(DEFAULT_HOME, description="Folder of the database, the log and the jobs' files.")
    host: str = Field(DEFAULT_HOST, description="Address to listen on.")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    max_queued: int = Field(DEFAULT_MAX_QUEUED, ge=1, description="Jobs that may wait; more are refused.")
    data_roots: tuple[Path, ...] = Field(
        (Path(),),
        min_length=1,
        description="Folders that jobs may read; relative paths in a job start at the first one.",
    )
    allow_hub: bool = Field(False, description="True: jobs may name models of the Hugging Face hub, to be fetched.")
