"""Speech-to-text models of `transformers`, opened from a folder of theirs or from a checkpoint of ours.

Nothing is fetched, nothing pickled is read and no code that lies beside a model is run. The library is imported when
the first such model is opened, not before: it takes a second.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shrinkml.compression.sites import find_layers
from shrinkml.errors import CheckpointError
from shrinkml.models.huggingface.checks import (
    as_checkpoint_error,
    check_blank,
    check_complete,
    check_readable,
    check_window,
)
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.outdated_whisper import complete_
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.rewrites import rewrite_
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.huggingface.speech_input import Speech
from shrinkml.models.huggingface.text_tokens import Text
from shrinkml.models.huggingface.vocabulary.kept_tokens import read_kept, write_kept
from shrinkml.storage.model_folder import ModelFolder

HuggingFaceAsr = HuggingFaceCtc | HuggingFaceSeq2Seq

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def open_stock(folder: ModelFolder) -> HuggingFaceAsr:
    """The model in a folder that transformers wrote, dense, in float32.

    Raises:
        CheckpointError: broken or missing files, an architecture that is no recogniser, weights that do not fit the
            config, or nothing to factorize.
    """
    path = folder.path
    check_readable(folder)
    config = _config(folder.config, path)
    kind = _auto_class(config, path)
    with quietly(), as_checkpoint_error(f"transformers cannot open {path}"):
        network, found = kind.from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, all at once
            **LOCAL,
        )
        _read_generation_(network, path)  # once more: where the file is broken, transformers goes on without
    check_complete(network, found, path)
    model = _assembled(network, path)
    if not find_layers(model):
        raise CheckpointError(f"{path} holds no layer that can be factorized ({type(network).__name__})")
    return model


def build(config: Mapping[str, Any], path: Path) -> HuggingFaceAsr:
    """The dense model that `describe` described and whose other files lie in `path`, with weights to be filled in.

    Raises:
        CheckpointError: no such architecture, or broken files.
    """
    own = _config(config, path)
    kind = _auto_class(own, path)
    with quietly(), as_checkpoint_error(f"transformers cannot build the model of {path}"):
        network = kind.from_config(own, dtype=torch.float32, trust_remote_code=False)
        _read_generation_(network, path)
    return _assembled(network, path)


def describe(model: HuggingFaceAsr) -> dict[str, Any]:
    """The config of the network, as JSON."""
    value: dict[str, Any] = json.loads(model.network.config.to_json_string())
    return value


def write_files(model: HuggingFaceAsr, path: Path) -> None:
    """Writes the files of feature extractor, tokenizer and generation to the folder `path`."""
    with quietly():
        model.speech.extractor.save_pretrained(path)
        model.text.tokenizer.save_pretrained(path)
        if model.network.can_generate():
            model.network.generation_config.save_pretrained(path)
    write_kept(model.text.kept, path)


def _read_generation_(network: Any, path: Path) -> None:
    from transformers import GenerationConfig
    from transformers.utils import GENERATION_CONFIG_NAME

    if network.can_generate() and (path / GENERATION_CONFIG_NAME).is_file():
        with as_checkpoint_error(f"{path} has a {GENERATION_CONFIG_NAME} that cannot be read"):
            network.generation_config = GenerationConfig.from_pretrained(path, local_files_only=True)


def _assembled(network: Any, path: Path) -> HuggingFaceAsr:
    """`network` with its feature extractor and tokenizer."""
    rewrite_(network)
    # Training masks the features itself, by torch's seed; the network's own masks are drawn from numpy's.
    network.config.apply_spec_augment = False
    with as_checkpoint_error(f"{path} has a feature extractor that cannot be used"):
        speech = Speech(_extractor(network, path))
    with as_checkpoint_error(f"{path} has a tokenizer that cannot be used"):
        text = Text(_tokenizer(network, path), kept=read_kept(path))
    check_window(speech, network, path)
    if not _writes(network.config):
        check_blank(network, path)
        return HuggingFaceCtc(network, speech, text).eval()
    complete_(network, text.tokenizer, path)
    with as_checkpoint_error(f"{path} has a generation_config.json that cannot be used"):
        return HuggingFaceSeq2Seq(network, speech, text).eval()


def _config(value: Mapping[str, Any], path: Path) -> Any:
    from transformers import CONFIG_MAPPING

    kind = str(value["model_type"])
    if kind not in CONFIG_MAPPING:
        raise CheckpointError(
            f"{path}: transformers knows no model type {kind!r}; code beside a model is not run. "
            f"Recognisers: {', '.join(_recognisers())}"
        )
    with as_checkpoint_error(f"the config of {path} describes no {kind}"):
        return CONFIG_MAPPING[kind].from_dict(dict(value))


def _auto_class(config: Any, path: Path) -> Any:
    """The class of transformers that opens a model of that config."""
    import transformers

    if type(config) in transformers.MODEL_FOR_CTC_MAPPING:
        return transformers.AutoModelForCTC
    if type(config) in transformers.MODEL_FOR_RNNT_MAPPING or type(config) in transformers.MODEL_FOR_TDT_MAPPING:
        raise CheckpointError(
            f"{path}: {config.model_type!r} is a transducer, and of those of transformers none is opened yet: their "
            "decoding, their loss over a lattice and their export are missing here. Take a model of the same encoder "
            "with a CTC head (parakeet_ctc), or train a transducer of ShrinkML's own (configs/train/transducer.yaml)"
        )
    if not _writes(config):
        raise CheckpointError(
            f"{path}: {config.model_type!r} is no speech recogniser with a CTC head or a decoder of its own; "
            f"known: {', '.join(_recognisers())}"
        )
    return transformers.AutoModelForSpeechSeq2Seq


def _writes(config: Any) -> bool:
    """True where models of that config are encoder-decoders; language models that are told about speech are not."""
    import transformers

    kind = type(config)  # what a file claims is not asked
    return kind in transformers.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING and bool(kind().is_encoder_decoder)


def _recognisers() -> list[str]:
    from transformers.models.auto import modeling_auto as auto

    return sorted({*auto.MODEL_FOR_CTC_MAPPING_NAMES, *auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES})


def _extractor(network: nn.Module, path: Path) -> Any:
    from transformers import AutoFeatureExtractor

    with as_checkpoint_error(f"{path} has no feature extractor (preprocessor_config.json) that can be read"):
        return AutoFeatureExtractor.from_pretrained(path, config=network.config, **LOCAL)


def _tokenizer(network: nn.Module, path: Path) -> Any:
    from transformers import AutoTokenizer

    problem = f"{path} has no tokenizer that can be read"
    with as_checkpoint_error(problem):
        tokenizer = AutoTokenizer.from_pretrained(path, config=network.config, **LOCAL)
    # Without any file, some classes make an empty vocabulary up.
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((path / file).is_file() for file in files):
        raise CheckpointError(f"{problem}: none of {', '.join(sorted(files))}")
    if tokenizer.get_vocab().keys() <= {*tokenizer.all_special_tokens}:
        raise CheckpointError(f"{path} has a tokenizer with an empty vocabulary: no token but the special ones")
    return tokenizer
