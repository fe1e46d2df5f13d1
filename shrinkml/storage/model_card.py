"""README.md of a checkpoint: what it costs, how well it hears, how to load it. Hubs show it as the model's page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shrinkml.models.family import Family
from shrinkml.report.wording import interval, megabytes, percent, wer_change
from shrinkml.storage.checkpoint import inspect, stored_parameters
from shrinkml.storage.compression_record import CompressedLayer
from shrinkml.storage.model_folder import CARD, COMPRESSION, look_into
from shrinkml.storage.replacing import add_file

TEMPLATE = """\
---
library_name: shrinkml
pipeline_tag: automatic-speech-recognition
tags: [shrinkml, low-rank]
---
# A speech recogniser, {ratio:.2f} times smaller

{n_factorized} of its {n_layers} matrices are products of two thin ones. The figures are of {on}:

| | original | compressed | |
| --- | --- | --- | --- |
| word error rate | {wer_before} | {wer_after} | {change} |
| parameters | {parameters_before:,} | {parameters:,} | {ratio:.2f} times smaller |
| bytes of weights | {bytes_before} | {bytes_after} | {size_ratio:.2f} times smaller |

Intervals are bootstrap 95 %.
{trimmed}
## How to load it

In Python, with `shrinkml` alone:

```python
import shrinkml
from shrinkml.speech.audio import read_audio

model = shrinkml.load("path/to/this/folder")
waveform = read_audio("audio.wav", model.sample_rate_hz)
print(model.transcribe([model.features(waveform)])[0])
```

On the command line:

```sh
shrinkml transcribe path/to/this/folder audio.wav
```

{elsewhere}
## What it was made from

[{record}]({record}) lists the rank of every matrix, the digests of the model and the data that this one was made from,
the text normaliser, the seed and the versions.
"""

TRIMMED = """
Its vocabulary is trimmed to {tokens:,} tokens. Any text can still be written, words whose token is gone in smaller
pieces, which are heard worse: measure it on speech like yours.
"""
ONNX = """\
For ONNX Runtime, on devices without torch{exported}:

```sh
shrinkml export path/to/this/folder --out onnx
```
"""
DENSE = """
`{library}` knows no factors. In a dense copy, which it opens by itself, each matrix is as large and as slow as before:

```sh
shrinkml merge path/to/this/folder --out dense
```
"""


def elsewhere(family: Family) -> str:
    """Places where models of `family` run without `shrinkml`, and how they get there."""
    dense = "" if family.library is None else DENSE.format(library=family.library)
    return ONNX.format(exported=family.exported) + dense


def write_card(
    folder: Path, *, layers: Sequence[CompressedLayer], on: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Write README.md into the checkpoint `folder`.

    Args:
        folder: a checkpoint.
        layers: of its model.
        on: what was measured on ("test, 24 utterances").
        before: Evaluation of the original, as JSON.
        after: the same of this model; `wer` is enough.
    """
    parameters, found, family = stored_parameters(folder), inspect(folder), look_into(folder).family
    tokens = family.trimmed_to(folder)
    text = TEMPLATE.format(
        ratio=before["parameters"] / parameters,
        n_factorized=sum(layer.rank is not None for layer in layers),
        n_layers=len(layers),
        on=on,
        wer_before=_wer(before),
        wer_after=_wer(after),
        change=wer_change(after["wer"] - before["wer"]),
        parameters_before=before["parameters"],
        parameters=parameters,
        bytes_before=megabytes(before["bytes"]),
        bytes_after=megabytes(found.stored_bytes),
        size_ratio=before["bytes"] / found.stored_bytes,
        trimmed="" if tokens is None else TRIMMED.format(tokens=tokens),
        elsewhere=elsewhere(family),
        record=COMPRESSION,
    )
    add_file(folder, CARD, text)


def _wer(evaluation: Mapping[str, Any]) -> str:
    bounds = evaluation.get("wer_ci95")
    return percent(evaluation["wer"]) + (f" ({interval(bounds)})" if bounds else "")
