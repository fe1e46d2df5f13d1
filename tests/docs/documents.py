"""The documents of the repository, and the fenced blocks in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        document: name of its file.
        number: from 1 on, in its document.
        language: after the fence; empty where there is none.
        text: between the fences.
    """

    document: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}-{self.number}-{self.language or 'text'}"


def blocks(language: str | None = None) -> list[Block]:
    """Every block of every document, of one language where it is named, in order."""
    found = [
        Block(path.name, number, match[1], match[2])
        for path in DOCUMENTS
        for number, match in enumerate(BLOCK.finditer(path.read_text(encoding="utf-8")), start=1)
    ]
    return [block for block in found if language in (None, block.language)]


def shell_lines(text: str) -> list[str]:
    """The commands of a shell block, comments left out; what stands in quotes may go over several lines."""
    joined = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace("\n", " "), text)
    return [line for line in (re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines()) if line]
