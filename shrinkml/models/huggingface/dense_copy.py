"""Models of ours as folders that `transformers` opens without ShrinkML: every product of factors multiplied out."""

import shutil
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from shrinkml.compression.dropping.drop import absent_in
from shrinkml.compression.surgery import merge
from shrinkml.models.family import Copied
from shrinkml.models.huggingface.opening import HuggingFaceAsr, write_files
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.vocabulary.kept_tokens import IDS, KEPT
from shrinkml.storage.model_folder import CONFIG

NETWORK = "network."  # how the names of the modules of models of transformers begin

TEMPLATE = """\
---
library_name: transformers
pipeline_tag: automatic-speech-recognition
tags: [shrinkml]
---
# A dense copy of a compressed speech recogniser

{size}

```python
from transformers import {auto}, AutoProcessor

model = {auto}.from_pretrained("path/to/this/folder")
processor = AutoProcessor.from_pretrained("path/to/this/folder")
```
"""
FACTORS = """\
**This copy saves nothing{but}.** The checkpoint that it was made from (sha256 `{digest}`) holds {small:,} parameters,
many of them as factors. Here they are multiplied out, so that `transformers` opens the model without ShrinkML:
{dense:,} parameters in {dtype}, as large and as slow as before it was {made}. It computes the same, but for
rounding."""
NO_FACTORS = """\
The checkpoint that it was made from (sha256 `{digest}`) holds no factors: this copy has the same {dense:,} parameters
in {dtype}, as `transformers` opens them without ShrinkML. It computes the same."""
TRIMMED = """
## Its vocabulary is trimmed

It writes {tokens:,} tokens; the original has more. Its embedding and its output have a row for each of them, and only
the tokenizer in this folder knows them: no other fits. Any text can still be written, words whose token is gone in
smaller pieces, which are heard worse.

The way back: `{ids}` in `{kept}` lists, in the order of the tokens, the id that each has in the original.

```python
import json

with open("path/to/this/folder/{kept}") as file:
    original_ids = json.load(file)["{ids}"]
print([original_ids[token] for token in processor.tokenizer(" hello").input_ids])  # what the original calls them
```
"""


def write_merged(model: HuggingFaceAsr, path: Path, half: bool = False) -> None:
    """Write `model`, its factors multiplied out, to the folder `path` as transformers itself would.

    Args:
        model: dense or low rank.
        path: an empty folder.
        half: store the weights in half precision. config.json still says float32: transformers computes in what it
            says, and a feature extractor's output is float32.
    """
    merged = cast(HuggingFaceAsr, merge(model))
    network = merged.network
    with torch.device("meta"):
        plain = type(network)(network.config)
    shapes = {name: tensor.shape for name, tensor in plain.state_dict().items()}
    for name, parameter in network.named_parameters():
        parameter.data = parameter.data.view(shapes[name])  # as it was before it was rewritten
    for place, absent in absent_in(merged).items():
        for dropped in (place, *absent.choice.removes):
            _put_back_(network, plain, dropped.removeprefix(NETWORK))
    write_files(model, path)
    with quietly():
        network.save_pretrained(path)
    for weights in path.glob("*.safetensors"):
        if half:
            tensors = {name: t.half() if t.is_floating_point() else t for name, t in load_file(weights).items()}
            save_file(tensors, weights, {"format": "pt"})
        shutil.copymode(path / CONFIG, weights)  # safetensors lets nobody but the owner read it


def _put_back_(network: nn.Module, plain: nn.Module, path: str) -> None:
    """Has `network` hold at `path` what `plain` has there, with zeros for weights, which add nothing."""
    zeros = plain.get_submodule(path).to_empty(device="cpu")
    for tensor in (*zeros.parameters(), *zeros.buffers()):
        tensor.data.zero_()
    network.set_submodule(path, zeros)


def card(model: HuggingFaceAsr, source: Copied) -> str:
    """The README.md of a dense copy of `model`, which the checkpoint `source` holds."""
    kept = model.text.kept
    factorized = source.parameters < source.dense_parameters
    size = (FACTORS if factorized else NO_FACTORS).format(
        but="" if kept is None else " but the tokens that were left out",
        made="compressed" if kept is None else "factorized",
        digest=source.digest,
        small=source.parameters,
        dense=source.dense_parameters,
        dtype=source.dtype,
    )
    trimmed = "" if kept is None else TRIMMED.format(tokens=len(kept), kept=KEPT, ids=IDS)
    return TEMPLATE.format(size=size, auto=model.auto_class) + trimmed
