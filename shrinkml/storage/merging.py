"""From a checkpoint to a folder that `transformers` opens without ShrinkML: every product of factors multiplied out."""

from pathlib import Path

from shrinkml.compression.sites import model_cost
from shrinkml.errors import CheckpointError, ExportError
from shrinkml.models.huggingface.opening import auto_class, write_merged
from shrinkml.models.las.las import Las
from shrinkml.storage.checkpoint import inspect, load, stored_parameters
from shrinkml.storage.model_card import CARD
from shrinkml.storage.model_folder import HUGGING_FACE
from shrinkml.storage.replacing import replacing

TEMPLATE = """\
---
library_name: transformers
pipeline_tag: automatic-speech-recognition
tags: [shrinkml]
---
# A dense copy of a compressed speech recogniser

**This copy saves nothing.** The checkpoint that it was made from (sha256 `{digest}`) holds {small:,} parameters,
many of them as factors. Here they are multiplied out, so that `transformers` opens the model without ShrinkML:
{dense:,} parameters in {dtype}, as large and as slow as before it was compressed. It computes the same, but for
rounding.

```python
from transformers import {auto}, AutoProcessor

model = {auto}.from_pretrained("path/to/this/folder")
processor = AutoProcessor.from_pretrained("path/to/this/folder")
```
"""


def save_merged(name: str | Path, folder: str | Path) -> None:
    """Writes the checkpoint `name`, dense, to the new folder `folder`, in its precision, whole or not at all.

    Args:
        name: a checkpoint of a model of transformers.
        folder: a model that lies there is replaced.

    Raises:
        CheckpointError: no checkpoint, or a broken one, or something else lies in `folder`, or that in the checkpoint.
        ExportError: the model is none of transformers.
    """
    check_mergeable(name)
    found = inspect(name)
    if Path(folder).resolve().is_relative_to(found.folder.resolve()):
        raise CheckpointError(
            f"{folder} is the checkpoint to merge or lies in it ({found.folder}); write to another folder"
        )
    model = load(name)
    assert not isinstance(model, Las), "the family says so"
    card = TEMPLATE.format(
        digest=found.digest,
        small=stored_parameters(name),
        dense=model_cost(model).dense_parameters,
        dtype=found.dtype,
        auto=auto_class(model),
    )
    with replacing(Path(folder)) as partial:
        write_merged(model, partial, half=found.dtype == "float16")
        (partial / CARD).write_text(card, encoding="utf-8")


def check_mergeable(name: str | Path) -> None:
    """That `save_merged` can write the checkpoint `name`; nothing is written.

    Raises:
        CheckpointError: no checkpoint, or a broken one.
        ExportError: the model is none of transformers.
    """
    found = inspect(name)
    if found.family != HUGGING_FACE:
        raise ExportError(
            f"{found.folder} is of family {found.family!r}, which nothing but ShrinkML opens, dense or not; "
            f"merged are models of transformers (family {HUGGING_FACE!r})"
        )
