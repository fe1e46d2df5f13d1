"""Folders as `transformers` writes them: tiny recognisers with random weights, their processors made on the spot."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

MARKS = ["<pad>", "<s>", "</s>", "<unk>"]
LETTERS = [*MARKS, "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
WHISPER_MARKS = ["endoftext", "startoftranscript", "en", "transcribe", "translate", "nospeech", "notimestamps"]

ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
WAVE_ENCODER = {
    **ENCODER,
    "vocab_size": len(LETTERS),
    "pad_token_id": 0,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 4, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
TRANSFORMER = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_target_positions": 80,
}

Parts = tuple[Any, Any, Any]  # model, feature extractor, tokenizer


def _letters(folder: Path) -> Any:
    from transformers import Wav2Vec2CTCTokenizer

    (folder / "letters.json").write_text(json.dumps({token: i for i, token in enumerate(LETTERS)}))
    return Wav2Vec2CTCTokenizer(str(folder / "letters.json"))


def _wave(model: str, **options: Any) -> Callable[[Path], Parts]:
    def parts(folder: Path) -> Parts:
        import transformers

        config = getattr(transformers, f"{model}Config")(**WAVE_ENCODER, **options)
        extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
        return getattr(transformers, f"{model}ForCTC")(config), extractor, _letters(folder)

    return parts


def with_generation(model: Path, copy: Path, **settings: Any) -> Path:
    """A copy of the folder `model` whose generation_config.json has `settings` too."""
    shutil.copytree(model, copy)
    path = copy / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return copy


def two_languages_(generation: Any, tokenizer: Any) -> None:
    """Lets the generation of a Whisper choose between two languages (the token of the second is another mark's)."""
    ids = tokenizer.convert_tokens_to_ids
    generation.is_multilingual = True
    generation.lang_to_id = {"<|en|>": ids("<|en|>"), "<|de|>": ids("<|translate|>")}
    generation.task_to_id = {"transcribe": ids("<|transcribe|>")}


def _multilingual_whisper(folder: Path) -> Parts:
    model, extractor, tokenizer = _whisper(folder, language=None)
    two_languages_(model.generation_config, tokenizer)
    return model, extractor, tokenizer


def _whisper(folder: Path, language: str | None = "english") -> Parts:
    import transformers
    from tokenizers import pre_tokenizers

    marks = [f"<|{mark}|>" for mark in WHISPER_MARKS]
    vocabulary = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *marks]
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = transformers.WhisperTokenizer(vocab=ids, merges=[], pad_token=marks[0], language=language)
    tokenizer.add_special_tokens({"additional_special_tokens": marks[1:]})
    tokenizer.set_prefix_tokens(language=language, task=language and "transcribe")
    special = {"pad_token_id": ids[marks[0]], "bos_token_id": ids[marks[0]], "eos_token_id": ids[marks[0]]}
    special["decoder_start_token_id"] = ids[marks[1]]
    config = transformers.WhisperConfig(
        **TRANSFORMER, **special, vocab_size=len(ids), num_mel_bins=20, max_source_positions=100
    )
    config.begin_suppress_tokens = None
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        **special, max_length=80, no_timestamps_token_id=ids["<|notimestamps|>"], is_multilingual=False
    )
    return model, transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=2), tokenizer


def _speech2text(folder: Path) -> Parts:
    import sentencepiece
    import transformers

    (folder / "text.txt").write_text("turn on the light\nthe quick brown fox jumps over a lazy dog\n" * 9)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "spm"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    known = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in known if piece not in MARKS)]
    (folder / "pieces.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocabulary)}))
    tokenizer = transformers.Speech2TextTokenizer(str(folder / "pieces.json"), str(folder / "spm.model"))
    config = transformers.Speech2TextConfig(
        **TRANSFORMER, vocab_size=len(vocabulary), input_feat_per_channel=20, conv_channels=16
    )
    extractor = transformers.Speech2TextFeatureExtractor(feature_size=20, num_mel_bins=20)
    return transformers.Speech2TextForConditionalGeneration(config), extractor, tokenizer


def _pieces(*marks: str) -> Any:
    """A byte-level tokenizer without merges, `marks` first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = [*marks, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(vocabulary)}, [], unk_token=marks[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _moonshine(folder: Path) -> Parts:
    import transformers

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_pieces("<unk>", "<s>", "</s>"), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    config = transformers.MoonshineConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        pad_token_id=2,
        max_position_embeddings=80,
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    return transformers.MoonshineForConditionalGeneration(config), extractor, tokenizer


def _wav2vec2_bert(folder: Path) -> Parts:
    import transformers

    shape = {**ENCODER, "vocab_size": len(LETTERS), "pad_token_id": 0, "feature_projection_input_dim": 40}
    model = transformers.Wav2Vec2BertForCTC(transformers.Wav2Vec2BertConfig(**shape))
    return model, transformers.SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20), _letters(folder)


def _encoder_and_bert(folder: Path) -> Parts:
    import transformers

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_pieces("<unk>", "<s>", "</s>"), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    decoder = transformers.BertConfig(
        **ENCODER, vocab_size=len(tokenizer) + 3, is_decoder=True, add_cross_attention=True
    )
    config = transformers.SpeechEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.Wav2Vec2Config(**WAVE_ENCODER), decoder
    )
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 2
    return transformers.SpeechEncoderDecoderModel(config=config), transformers.Wav2Vec2FeatureExtractor(), tokenizer


def _parakeet(folder: Path) -> Parts:
    import transformers

    tokenizer = transformers.ParakeetTokenizer(
        tokenizer_object=_pieces("<pad>", "<unk>"), unk_token="<unk>", pad_token="<pad>"
    )
    encoder = {**ENCODER, "num_mel_bins": 16, "subsampling_conv_channels": 8}
    config = transformers.ParakeetCTCConfig(encoder_config=encoder, vocab_size=len(tokenizer), pad_token_id=0)
    return transformers.ParakeetForCTC(config), transformers.ParakeetFeatureExtractor(feature_size=16), tokenizer


PARTS: dict[str, Callable[[Path], Parts]] = {
    "whisper": _whisper,
    "whisper-multilingual": _multilingual_whisper,
    "speech_to_text": _speech2text,
    "moonshine": _moonshine,
    "wav2vec2": _wave("Wav2Vec2"),
    "hubert": _wave("Hubert"),
    "wavlm": _wave("WavLM"),
    "wav2vec2-conformer": _wave("Wav2Vec2Conformer"),
    "parakeet_ctc": _parakeet,
    "data2vec-audio": _wave("Data2VecAudio", conv_pos_kernel_size=3),
    "sew": _wave("SEW", squeeze_factor=2),
    "unispeech": _wave("UniSpeech"),
    "wav2vec2-bert": _wav2vec2_bert,
    "speech-encoder-decoder": _encoder_and_bert,
}


@pytest.fixture(scope="session")
def stock_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Model type -> a folder with such a model, made once. Do not write into it."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model, extractor, tokenizer = PARTS[kind](tmp_path_factory.mktemp("parts"))
                # Statistics that are not those of an untrained batch norm must survive as well.
                for module in model.modules():
                    if isinstance(module, torch.nn.BatchNorm1d):
                        module.running_mean.normal_()
            made[kind] = tmp_path_factory.mktemp("stock") / kind
            for part in (model, extractor, tokenizer):
                part.save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def waveforms() -> list[np.ndarray]:
    """Noise of three lengths, two of them equal, at 16 kHz."""
    noise = np.random.default_rng(0)
    return [noise.normal(0, 0.1, samples).astype(np.float32) for samples in (16_000, 11_200, 16_000)]
