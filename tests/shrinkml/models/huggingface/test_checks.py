"""Folders that cannot be used: each has its own clear error, and nothing is written anywhere."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import shrinkml
from shrinkml.errors import CheckpointError
from shrinkml.storage.checkpoint import save
from tests.stock_models import with_generation


@pytest.fixture(params=["whisper", "wav2vec2"])
def folder(request, stock_dir, tmp_path):
    """A copy that may be broken."""
    return shutil.copytree(stock_dir(request.param), tmp_path / "model")


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """Loading writes no files, neither beside the model nor to the library's cache, and asks nobody."""

    def connect(self, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    assert not (tmp_path / "home").exists()


def refuse(folder, message):
    before = sorted(folder.rglob("*"))
    with pytest.raises(CheckpointError, match=message):
        shrinkml.load(folder)
    assert sorted(folder.rglob("*")) == before


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_truncated_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refuse(folder, r"model\.safetensors is truncated or no safetensors file")


def test_weights_of_another_shape(folder):
    name = sorted(load_file(folder / "model.safetensors"))[-1]
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(3, 5)}))
    refuse(folder, rf"do not fit its config\.json: {name} \[3, 5\] instead of \[\d")


def test_a_config_of_another_shape(folder):
    change_config(folder, hidden_size=32, d_model=32)
    refuse(folder, r"do not fit its config\.json: .* instead of")


def test_of_many_misfits_the_first_are_named_in_order(folder):
    before = {name: [*weight.shape] for name, weight in sorted(load_file(folder / "model.safetensors").items())}
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(3, 5, 7, 9) for name in weights}))
    named = ", ".join(f"{name} [3, 5, 7, 9] instead of {shape}" for name, shape in [*before.items()][:5])
    refuse(folder, re.escape(f"do not fit its config.json: {named}, and {len(before) - 5} more"))


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("wav2vec2", {"num_hidden_layers": 1}, r"wav2vec2\.encoder\.layers\.1\..*, and 11 more"),
        ("wav2vec2", {"num_hidden_layers": -1}, r"wav2vec2\.encoder\.layers\.0\..*, and 27 more"),
        ("whisper", {"decoder_layers": 0}, r"model\.decoder\.layers\.0\..*, and 19 more"),
    ],
)
def test_a_config_of_fewer_layers(kind, change, named, stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir(kind), tmp_path / "model")
    change_config(folder, **change)
    refuse(folder, f"has fewer layers than the weights: no place for {named}")


def test_a_config_of_fewer_layers_than_the_base_model_alone(stock_dir, tmp_path):
    from transformers import WhisperModel

    folder = shutil.copytree(stock_dir("whisper"), tmp_path / "model")
    WhisperModel.from_pretrained(folder).save_pretrained(folder)
    shrinkml.load(folder)
    change_config(folder, encoder_layers=0)
    refuse(folder, r"has fewer layers than the weights: no place for encoder\.layers\.0\.")


def test_weights_that_the_model_has_no_use_for_are_left_aside(folder):
    expected = shrinkml.load(folder).state_dict()
    unused = ["quantizer.codevectors", "model.decoder.old.0.table", "wav2vec2.encoder.layers.0.attention.old"]
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(3) for name in unused}))
    assert shrinkml.load(folder).state_dict().keys() == expected.keys()


def test_missing_weights(folder):
    name = next(name for name in load_file(folder / "model.safetensors") if "layers.0" in name)
    change_weights(folder, lambda weights: weights.pop(name))
    refuse(folder, f"lacks weights: {name}")


def test_nan_weights(folder):
    name = next(name for name in load_file(folder / "model.safetensors") if "layers.0" in name)
    change_weights(folder, lambda weights: weights[name].view(-1)[:1].fill_(float("nan")))
    refuse(folder, rf"NaN or infinite weights: network\.{name}")


def test_nan_running_statistics(stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("parakeet_ctc"), tmp_path / "model")
    name = next(name for name in load_file(folder / "model.safetensors") if name.endswith("running_mean"))
    change_weights(folder, lambda weights: weights[name][:1].fill_(float("nan")))
    refuse(folder, rf"NaN or infinite weights: network\.{name}")


def test_a_missing_tokenizer(folder):
    for part in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "added_tokens.json"):
        (folder / part).unlink(missing_ok=True)
    refuse(folder, "has no tokenizer that can be read")


def test_a_missing_feature_extractor(folder):
    (folder / "preprocessor_config.json").unlink()
    refuse(folder, r"has no feature extractor \(preprocessor_config\.json\) that can be read")


@pytest.mark.parametrize("rate", ["fast", 0, -16_000, 16_000.5, float("inf")])
def test_a_sample_rate_that_is_none(rate, stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("wav2vec2"), tmp_path / "model")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sampling_rate": rate}))
    refuse(folder, rf"feature extractor that cannot be used: sampling_rate is {rate!r}; allowed: a whole number")


def test_a_tokenizer_without_tokens(stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("wav2vec2"), tmp_path / "model")
    (folder / "vocab.json").write_text("{}")
    refuse(folder, "has a tokenizer with an empty vocabulary: no token but the special ones")


def test_a_tokenizer_that_is_no_json(folder):
    for part in ("tokenizer.json", "vocab.json"):
        if (folder / part).exists():
            (folder / part).write_text("{")
    refuse(folder, "has no tokenizer that can be read")


def test_a_broken_description_of_generation(stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("whisper"), tmp_path / "model")
    save(shrinkml.load(folder), tmp_path / "ours")
    for model in (folder, tmp_path / "ours"):
        (model / "generation_config.json").write_text("{")
        refuse(model, rf"{model} has a generation_config\.json that cannot be read: .*not a valid JSON")


def test_an_architecture_that_nobody_knows(folder):
    change_config(folder, model_type="mymodel", auto_map={"AutoModelForCTC": "code.MyModel"})
    (folder / "code.py").write_text("raise SystemExit('run')")
    refuse(folder, r"transformers knows no model type 'mymodel'; code beside a model is not run\. .*whisper")


def test_code_beside_a_known_architecture_is_not_run(folder):
    change_config(folder, auto_map={"AutoModelForCTC": "code.MyModel", "AutoModelForSpeechSeq2Seq": "code.MyModel"})
    (folder / "code.py").write_text("raise SystemExit('run')")
    shrinkml.load(folder)


def test_an_architecture_that_is_no_recogniser(folder):
    change_config(folder, model_type="bert")
    refuse(folder, r"'bert' is no speech recogniser with a CTC head or a decoder of its own; known: .*wav2vec2")


def test_a_language_model_that_is_told_about_speech(folder):
    change_config(folder, model_type="voxtral", hidden_size=16)
    refuse(folder, r"'voxtral' is no speech recogniser with a CTC head or a decoder of its own")


@pytest.mark.parametrize("kind", ["parakeet_rnnt", "parakeet_tdt", "nemotron_asr_streaming"])
def test_a_transducer(tmp_path, kind):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    refuse(tmp_path, rf"'{kind}' is a transducer, and .* none is opened yet: .* with a CTC head \(parakeet_ctc\)")


def test_a_config_with_values_of_the_wrong_kind(folder):
    change_config(folder, num_hidden_layers="many", encoder_layers="many")
    refuse(folder, "describes no w|transformers cannot open")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("pytorch_model.bin", r"python -c \"import sys, transformers"),
        ("model.pt", r"torch\.load\(path, weights_only=True\) into the class of transformers .* save_pretrained"),
    ],
)
def test_a_pickle_is_refused_with_what_converts_it(folder, name, remedy):
    pickle = (folder / "model.safetensors").rename(folder / name)
    refuse(folder, rf"model holds its weights as a pickle \({name}\).* convert it once: {remedy}")
    refuse(pickle, rf"{name} is a pickle, which .* convert it once: {remedy}")


def test_a_pickle_alone_is_refused_with_what_converts_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle = Path("pytorch_model.bin")
    pickle.touch()
    for given in (tmp_path, Path(), pickle):
        refuse(given, r"pytorch_model\.bin.* convert it once: torch\.load")
    Path("config.json").write_text('{"model_type": "whisper"}')
    for given in (tmp_path, Path(), pickle):
        refuse(given, rf"convert it once: python -c .* {tmp_path}-safetensors$")


@pytest.mark.slow
def test_the_command_converts_a_pickled_model(folder, tmp_path, monkeypatch):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    expected = shrinkml.load(folder).state_dict()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as refusal:
        shrinkml.load(folder)
    command = str(refusal.value).partition("convert it once: ")[2]
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True, capture_output=True)
    converted = shrinkml.load(folder.with_name("model-safetensors"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in converted.state_dict().items())
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


def test_a_decoder_without_a_start(stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("speech-encoder-decoder"), tmp_path / "model")
    for path in (folder / "config.json", folder / "generation_config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder_start_token_id": None}))
    refuse(folder, r"neither config\.json nor generation_config\.json tells decoder_start_token_id or bos_token_id")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"language": "klingon"}, "Unsupported language: klingon"), ({"language": "fr"}, "<|fr|> is not supported")],
)
def test_a_language_that_there_is_not(settings, message, stock_dir, tmp_path):
    folder = with_generation(stock_dir("whisper-multilingual"), tmp_path / "model", **settings)
    refuse(folder, rf"model has a generation_config\.json that cannot be used: {re.escape(message)}")


@pytest.mark.parametrize("blank", [None, 32, -1])
def test_a_blank_that_is_no_output(blank, stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("wav2vec2"), tmp_path / "model")
    change_config(folder, pad_token_id=blank)
    refuse(folder, rf"config\.json has pad_token_id {blank}, .* allowed: one of the network's outputs, 0 to 31")


def test_a_folder_as_the_processor_writes_it_is_read(stock_dir, tmp_path):
    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperProcessor

    folder = shutil.copytree(stock_dir("whisper"), tmp_path / "model")
    parts = AutoFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    (folder / "preprocessor_config.json").unlink()
    WhisperProcessor(*parts).save_pretrained(folder)
    assert (folder / "processor_config.json").is_file()
    assert shrinkml.load(folder).sample_rate_hz == 16_000


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    refuse(
        tmp_path / "empty",
        r"no checkpoint: config\.json missing, which has our `format` or a `model_type` of transformers$",
    )


def test_a_config_without_a_model_type(folder):
    (folder / "config.json").write_text('{"architectures": ["WhisperForConditionalGeneration"]}')
    refuse(folder, r"config\.json describes no .*: it has neither our `format` nor a `model_type` of transformers$")


def test_a_config_alone(folder):
    (folder / "model.safetensors").unlink()
    refuse(folder, r"is no checkpoint: model\.safetensors missing")


def test_a_model_without_a_layer_that_can_be_factorized(folder, stock_dir, monkeypatch):
    monkeypatch.setattr("shrinkml.compression.sites.ADAPTERS", {})
    refuse(folder, r"holds no layer that can be factorized \(W\w+For\w+\)")


def test_a_window_that_the_model_does_not_take(stock_dir, tmp_path):
    folder = shutil.copytree(stock_dir("whisper"), tmp_path / "model")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chunk_length": 3, "nb_max_frames": 300}))
    refuse(folder, r"makes windows of 300 frames; its model takes 200: set chunk_length and max_source_positions")


def test_shards_are_read_and_a_missing_one_is_named(stock_dir, tmp_path):
    from transformers import AutoModelForCTC

    folder = shutil.copytree(stock_dir("wav2vec2"), tmp_path / "model")
    AutoModelForCTC.from_pretrained(folder).save_pretrained(folder, max_shard_size="10KB")
    (folder / "model.safetensors").unlink()
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    whole = shrinkml.load(stock_dir("wav2vec2")).state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in shrinkml.load(folder).state_dict().items())
    assert shrinkml.storage.checkpoint.inspect(folder).stored_bytes == sum(shard.stat().st_size for shard in shards)
    shards[1].unlink()
    refuse(folder, f"is no checkpoint: {shards[1].name} missing")


@pytest.mark.parametrize("index", ["{", "{}", '{"weight_map": {"a": "../other.safetensors"}}'])
def test_an_index_that_lists_no_shards_beside_it(folder, index):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    refuse(folder, r"lists no shards|names files that are no shards beside it: \.\./other\.safetensors")


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module."])
def test_weights_of_a_wrapped_model_are_refused_with_what_strips_them(folder, wrapper):
    path = folder / "model.safetensors"
    whole = load_file(path)
    save_file({f"{wrapper}{name}": tensor for name, tensor in whole.items()}, path)
    with pytest.raises(
        CheckpointError, match=rf"all its names begin with '{wrapper}'\. Save .* or strip it: "
    ) as caught:
        shrinkml.load(folder)
    command = str(caught.value).partition("strip it: ")[2].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    assert load_file(path).keys() == whole.keys()
    shrinkml.load(folder)
