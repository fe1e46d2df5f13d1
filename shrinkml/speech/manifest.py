"""Transcribed speech as NeMo-style JSON lines: `audio_filepath`, `duration`, `text`, optional `speaker` and `lang`.

Manifests are checked whole before any work is done on them, and every problem is reported at once, with its line.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from shrinkml.errors import AudioError, ManifestError
from shrinkml.regular_file import read_regular
from shrinkml.speech.audio import audio_digest, audio_duration_s
from shrinkml.speech.normalisers import Normaliser
from shrinkml.speech.utterance import Utterance, parse_line

__all__ = [
    "MAX_SHOWN", "Utterance", "check_fit", "check_splits", "check_words", "read_manifest", "refuse", "write_manifest",
]  # fmt: skip

MAX_SHOWN = 20  # problems in one message
MAX_COUNTED = 1000  # in one manifest
HEAD_BYTES = 1 << 20  # of a manifest of which only the first lines are looked at


def read_manifest(path: Path, *, needs_text: bool = True) -> list[Utterance]:
    """The utterances in the manifest at `path`, their audio files as absolute paths.

    Audio files are opened as far as their header; they are not decoded.

    Args:
        path: of the manifest.
        needs_text: False where recordings without transcripts will do, all of them: their text is "".

    Raises:
        ManifestError: no such file, no utterances, or lines with problems; the message lists them.
    """
    utterances, problems = _parse(path, needs_text=needs_text)
    refuse(problems)
    return utterances


def check_splits(
    manifests: Mapping[str, Path],
    *,
    admit: Callable[[str, Path], None] | None = None,
    needs_text: bool = True,
    most_bytes: int | None = None,
    first: int | None = None,
) -> dict[str, list[Utterance]]:
    """Split -> its utterances, once every manifest is sound and no two splits overlap.

    Two splits overlap where a recording stands in both, under whatever name or in whatever lossless format, or a
    speaker does. Utterances without a speaker are compared by recording only.

    Args:
        manifests: split -> manifest.
        admit: called with the split and each audio file before anything is looked up there; what it raises is passed
            on.
        needs_text: see `read_manifest`.
        most_bytes: that a manifest may hold.
        first: look only at so many lines of each manifest, and at a mebibyte at most.

    Raises:
        ManifestError: every problem of every manifest, and every overlap.
    """
    splits: dict[str, list[Utterance]] = {}
    problems: list[str] = []
    for split, path in manifests.items():
        of_split = None if admit is None else partial(admit, split)
        splits[split], wrong = _parse(path, admit=of_split, needs_text=needs_text, most_bytes=most_bytes, first=first)
        problems += wrong
    refuse([*problems, *_shared_speakers(splits), *_shared_audio(splits)])
    return splits


def check_fit(utterances: Iterable[Utterance], *, longest_s: float | None, misfit: Callable[[str], str | None]) -> None:
    """That a model can hear and write all of `utterances`.

    Args:
        utterances: of all splits.
        longest_s: seconds that it hears at once, by the file: what a manifest states may be rounded. None: any.
        misfit: text -> what keeps the model from writing it; None where nothing does.

    Raises:
        ManifestError: it cannot; the message names the first of them.
    """
    problems = []
    for utterance in utterances:
        if longest_s is not None and (length_s := audio_duration_s(utterance.audio)) > longest_s:
            allowed = f"this model hears at most {longest_s:g} s at once: cut it where nobody speaks"
            problems.append(f"{utterance.audio} lasts {length_s:.1f} s; {allowed}")
        if utterance.text and (problem := misfit(utterance.text)):
            problems.append(f"{utterance.audio} has {problem}")
    refuse(problems)


def check_words(utterances: Iterable[Utterance], normaliser: Normaliser) -> None:
    """That every reference holds words once normalised: what is to be recognised in the others cannot be counted.

    Raises:
        ManifestError: some hold none; the message names the first of them.
    """
    wordless = [utterance for utterance in utterances if utterance.text and not normaliser(utterance.text)]
    left = f"of which {normaliser.id} leaves no word: leave the utterance out"
    refuse([f"{utterance.audio} has the text {utterance.text!r}, {left}" for utterance in wordless])


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write `utterances` to `path`, their audio files relative to its folder."""
    base = path.parent.resolve()
    with path.open("w", encoding="utf-8") as file:
        file.writelines(utterance.to_line(base) + "\n" for utterance in utterances)


def refuse(problems: list[str]) -> None:
    """Do nothing if there are no `problems`.

    Raises:
        ManifestError: there are some; the message counts them and shows the first MAX_SHOWN.
    """
    if not problems:
        return
    shown = problems[:MAX_SHOWN]
    if len(problems) > MAX_SHOWN:
        shown.append(f"and {len(problems) - MAX_SHOWN} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ManifestError(f"{count} in the data:\n  " + "\n  ".join(shown))


def lines_of(path: Path, *, most_bytes: int | None = None, first: int | None = None) -> list[str]:
    """Return the lines of the manifest `path`; only the `first` ones, if asked for, of its first mebibyte.

    Raises:
        OSError: it cannot be read, is no regular file, or holds more than `most_bytes`.
        UnicodeDecodeError: it is no text in UTF-8.
    """
    content = read_regular(path, most_bytes=most_bytes, first_bytes=None if first is None else HEAD_BYTES)
    if len(content) == HEAD_BYTES and first is not None:  # the last line may be cut
        content = content[: content.rfind(b"\n") + 1]
    return content.decode("utf-8-sig").split("\n")[:first]  # not splitlines: JSON may hold U+2028


def _parse(
    path: Path,
    *,
    admit: Callable[[Path], None] | None = None,
    needs_text: bool = True,
    most_bytes: int | None = None,
    first: int | None = None,
) -> tuple[list[Utterance], list[str]]:
    """The good lines of the manifest at `path`, and what is wrong with the others."""
    try:
        lines = lines_of(path, most_bytes=most_bytes, first=first)
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{path}: cannot be read: {error}"]
    base = path.parent.resolve()
    utterances, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        utterance, wrong = parse_line(line, base, admit=admit, needs_text=needs_text)
        problems += [f"{path}:{number}: {problem}" for problem in wrong]
        if utterance is not None:
            utterances.append(utterance)
        if len(problems) > MAX_COUNTED:
            return utterances, [*problems, f"{path}:{number}: the lines behind this one are not looked at"]
    if not utterances and not problems:
        problems.append(f"{path}: holds no utterances")
    n_silent = sum(not utterance.text for utterance in utterances)
    if 0 < n_silent < len(utterances):
        problems.append(
            f"{path}: {n_silent} of {len(utterances)} lines have no text; allowed: a text in every line, or in none"
        )
    return utterances, problems


def _shared_speakers(splits: Mapping[str, list[Utterance]]) -> Iterator[str]:
    found = defaultdict(set)
    for split, utterances in splits.items():
        for utterance in utterances:
            if utterance.speaker is not None:
                found[utterance.speaker].add(split)
    for speaker, where in sorted(found.items()):
        if len(where) > 1:
            yield f"speaker {speaker!r} is in {_listed(splits, where)}; a speaker belongs in one split"


def _shared_audio(splits: Mapping[str, list[Utterance]]) -> Iterator[str]:
    """Recordings in two splits. Equal ones last equally long, so only those are decoded to compare them."""
    by_duration = defaultdict(list)
    for split, utterances in splits.items():
        for utterance in utterances:
            by_duration[audio_duration_s(utterance.audio)].append((split, utterance.audio))
    for candidates in by_duration.values():
        if len({split for split, _ in candidates}) > 1:
            yield from _same_audio(splits, candidates)


def _same_audio(splits: Mapping[str, list[Utterance]], candidates: list[tuple[str, Path]]) -> Iterator[str]:
    by_digest = defaultdict(list)
    for split, audio in candidates:
        try:
            by_digest[audio_digest(audio)].append((split, audio))
        except AudioError as error:
            yield f"{split}: {error}"
    for same in by_digest.values():
        where = {split for split, _ in same}
        if len(where) > 1:
            files = ", ".join(dict.fromkeys(str(audio) for _, audio in same))
            yield f"the same audio is in {_listed(splits, where)}: {files}"


def _listed(splits: Mapping[str, list[Utterance]], where: set[str]) -> str:
    """The splits `where`, in the order in which they were given."""
    return " and ".join(split for split in splits if split in where)
