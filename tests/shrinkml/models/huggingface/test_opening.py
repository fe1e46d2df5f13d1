"""Every architecture that is promised, from its config to a compressed checkpoint that is opened again."""

import copy
import json
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import shrinkml
from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.inventory import list_parameters
from shrinkml.compression.sites import current_plan, find_layers, model_cost
from shrinkml.compression.surgery import merge
from shrinkml.errors import AudioError, ConfigError
from shrinkml.models.heads import ATTENTION, transcript_head
from shrinkml.models.huggingface import seq2seq_model
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import inspect, save, stored_parameters
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import divergence, soft_targets
from shrinkml.training.train import train
from tests.stock_models import with_generation

SEQ2SEQ = ["whisper", "speech_to_text", "moonshine"]
CTC = ["wav2vec2", "hubert", "wavlm", "wav2vec2-conformer", "parakeet_ctc"]
NOT_PROMISED = ["data2vec-audio", "sew", "unispeech", "wav2vec2-bert", "speech-encoder-decoder"]
TEXTS = ["turn on the light", "off", "the dog"]
TOLERANCE = 1e-5  # float32 rounding through a few layers; scores are of the order of 1


def scores(output):
    return transcript_head(output).logits


@pytest.fixture(scope="module", params=[*SEQ2SEQ, *CTC])
def opened(request, stock_dir):
    return shrinkml.load(stock_dir(request.param))


@pytest.fixture
def model(opened):
    return copy.deepcopy(opened)


@pytest.fixture
def features(model, waveforms):
    return [model.features(waveform) for waveform in waveforms]


def half(model):
    """A plan with a rank for every layer."""
    return CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})


def test_it_is_a_recogniser(model):
    assert isinstance(model, AsrModel)
    assert model.sample_rate_hz == 16_000


def test_attention_is_written_out_while_it_learns_and_computes_the_same(model, features, monkeypatch):
    monkeypatch.setattr(seq2seq_model, "learning_window", lambda *_: nullcontext())  # the whole of it
    before = model.network.config._attn_implementation
    with torch.no_grad():
        resting = model.teacher_forced(features, TEXTS)
        model.train()
        assert model.network.config._attn_implementation == "eager"
        for module in model.network.modules():
            module.training = False  # but for dropout
        learning = model.teacher_forced(features, TEXTS)
    torch.testing.assert_close(scores(learning), scores(resting), atol=TOLERANCE, rtol=TOLERANCE)
    model.eval()
    assert model.network.config._attn_implementation == before


def test_it_survives_calibration_plan_surgery_and_a_fresh_load(model, features, tmp_path):
    stats = calibrate(model, lambda: model.teacher_forced(features, TEXTS))
    small = factorize(model, half(model), decompose(model, "whitened", stats))
    save(small, tmp_path / "small")
    back = shrinkml.load(tmp_path / "small")
    before, after = small.teacher_forced(features, TEXTS), back.teacher_forced(features, TEXTS)
    assert torch.equal(scores(after), scores(before))
    assert back.transcribe(features) == small.transcribe(features)
    assert current_plan(back) == half(model) == inspect(tmp_path / "small").plan


def test_parameters_counted_from_the_file_are_the_plans(model, tmp_path):
    plan = half(model)
    save(factorize(model, plan, decompose(model)), tmp_path / "small")
    assert stored_parameters(tmp_path / "small") == model_cost(model).parameters(plan)
    assert stored_parameters(tmp_path / "small") < sum(parameter.numel() for parameter in model.parameters())


def test_every_matrix_that_is_multiplied_with_is_calibrated(model, features):
    stats = calibrate(model, lambda: model.teacher_forced(features, TEXTS))
    silent = [layer for layer in find_layers(model) if layer.name not in stats]
    assert all(layer.kind == "embedding" for layer in silent)


def test_the_scores_of_an_utterance_do_not_depend_on_its_batch(model, features):
    together = scores(model.teacher_forced(features, TEXTS))
    for i, text in enumerate(TEXTS):
        alone = scores(model.teacher_forced([features[i]], [text]))[0]
        torch.testing.assert_close(alone, together[i, : len(alone)], atol=TOLERANCE, rtol=0)


def test_the_transcript_of_an_utterance_does_not_depend_on_its_batch(model, features):
    assert model.transcribe(features) == [model.transcribe([one])[0] for one in features]


def test_the_loss_can_be_learnt_from(model, features):
    model.loss(model.teacher_forced(features, TEXTS)).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_it_is_fine_tuned_with_a_teacher(model, features):
    dataset = Dataset(features, TEXTS, [1.0, 0.7, 1.0], [None] * 3)
    student = factorize(model, half(model), decompose(model))
    targets = soft_targets(model, dataset)
    assert divergence(model.teacher_forced(features, TEXTS), targets, range(3)).item() == pytest.approx(0, abs=1e-5)
    twin = copy.deepcopy(student)
    before = student.loss(student.teacher_forced(features, TEXTS)).item()
    for pupil in (student, twin):
        train(pupil, dataset, epochs=6, learning_rate=3e-3, batch_size=3, seed=0, soft_targets=targets)
    assert student.loss(student.teacher_forced(features, TEXTS)).item() < before
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), twin.parameters(), strict=True))


def test_a_merged_model_computes_the_same_without_our_layers(model, features):
    small = factorize(model, half(model), decompose(model))
    merged = merge(small)
    assert [type(module) for module in merged.modules()] == [type(module) for module in model.modules()]
    before, after = scores(small.teacher_forced(features, TEXTS)), scores(merged.teacher_forced(features, TEXTS))
    torch.testing.assert_close(after, before, atol=TOLERANCE, rtol=0)


def test_copies_share_tokenizer_and_extractor(model):
    twin = copy.deepcopy(model)
    assert twin.text is model.text
    assert twin.speech is model.speech


def test_noise_silence_and_a_click_give_finite_features(model):
    for waveform in (np.zeros(16_000, np.float32), np.ones(1, np.float32), np.zeros(0, np.float32)):
        found = model.features(waveform)
        assert found.dim() == 2
        assert bool(found.isfinite().all())
        assert len(model.transcribe([found])) == 1


@pytest.mark.parametrize("kind", ["speech_to_text", "moonshine"])  # a Whisper never draws at its temperature of none
def test_nothing_is_drawn_though_the_folder_asks_for_it(kind, stock_dir, waveforms, tmp_path):
    likeliest = shrinkml.load(stock_dir(kind))
    asked = shrinkml.load(with_generation(stock_dir(kind), tmp_path / "drawn", do_sample=True))
    features = [likeliest.features(waveform) for waveform in waveforms]
    assert asked.transcribe(features) == likeliest.transcribe(features)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_scores_are_those_that_transformers_gives(kind, stock_dir, waveforms):
    from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq

    model = shrinkml.load(stock_dir(kind))
    network = AutoModelForSpeechSeq2Seq.from_pretrained(stock_dir(kind)).eval()
    extractor = AutoFeatureExtractor.from_pretrained(stock_dir(kind))
    ours = model.teacher_forced([model.features(waveforms[0])], TEXTS[:1])
    inputs = extractor(waveforms[0], sampling_rate=16_000, return_tensors="pt")
    theirs = network(inputs[network.main_input_name], labels=ours[ATTENTION].targets)
    torch.testing.assert_close(ours[ATTENTION].logits, theirs.logits, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(model.loss(ours), theirs.loss)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM's own
@pytest.mark.parametrize("kind", CTC)
def test_frames_are_those_that_transformers_gives(kind, stock_dir, waveforms):
    from transformers import AutoFeatureExtractor, AutoModelForCTC

    model = shrinkml.load(stock_dir(kind))
    network = AutoModelForCTC.from_pretrained(stock_dir(kind)).eval()
    extractor = AutoFeatureExtractor.from_pretrained(stock_dir(kind))
    ours = model.teacher_forced([model.features(waveforms[0])], TEXTS[:1])
    inputs = extractor(waveforms[0], sampling_rate=16_000, return_tensors="pt")
    theirs = network(**inputs)
    found = transcript_head(ours)
    expected = theirs.logits[:, : found.frame_counts[0]]
    torch.testing.assert_close(found.logits, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", NOT_PROMISED)
def test_architectures_that_nothing_was_written_for_work_as_well(kind, stock_dir, waveforms, tmp_path):
    model = shrinkml.load(stock_dir(kind))
    features = [model.features(waveform) for waveform in waveforms]
    stats = calibrate(model, lambda: model.teacher_forced(features, TEXTS))
    small = factorize(model, half(model), decompose(model, "whitened", stats))
    save(small, tmp_path / "small")
    back = shrinkml.load(tmp_path / "small")
    assert torch.equal(scores(back.teacher_forced(features, TEXTS)), scores(small.teacher_forced(features, TEXTS)))
    assert back.transcribe(features) == [small.transcribe([one])[0] for one in features]


def left(model):
    """Reason -> names of the matrices that stay as they are."""
    found = {}
    for note in list_parameters(model):
        if note.verdict == "left" and len(note.shape) > 1:
            found.setdefault(note.why, []).append(note.name.removeprefix("network."))
    return found


WEIGHT_NORM = "another weight is computed from it"
POSITIONS = "encoder.pos_conv_embed.conv.parametrizations.weight.original"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "whisper",
            {
                "WhisperPositionalEmbedding is a kind of layer of its own, which may read its weight in its own way": [
                    "model.decoder.embed_positions.weight"
                ]
            },
        ),
        ("speech_to_text", {}),
        ("moonshine", {}),
        ("wav2vec2", {WEIGHT_NORM: [f"wav2vec2.{POSITIONS}{i}" for i in (0, 1)]}),
        ("hubert", {WEIGHT_NORM: [f"hubert.{POSITIONS}{i}" for i in (0, 1)]}),
        (
            "wavlm",
            {
                WEIGHT_NORM: [f"wavlm.{POSITIONS}{i}" for i in (0, 1)],
                "no factorizer for WavLMAttention": [
                    f"wavlm.encoder.layers.{i}.attention.gru_rel_pos_const" for i in (0, 1)
                ],
            },
        ),
        (
            "wav2vec2-conformer",
            {
                WEIGHT_NORM: [f"wav2vec2_conformer.{POSITIONS}{i}" for i in (0, 1)],
                "no factorizer for Wav2Vec2ConformerSelfAttention": [
                    f"wav2vec2_conformer.encoder.layers.{i}.self_attn.pos_bias_{x}" for i in (0, 1) for x in "uv"
                ],
                "a convolution of 16 groups is no single matrix": [
                    f"wav2vec2_conformer.encoder.layers.{i}.conv_module.depthwise_conv.weight" for i in (0, 1)
                ],
            },
        ),
        (
            "parakeet_ctc",
            {
                "no factorizer for Conv2d": [f"encoder.subsampling.layers.{i}.weight" for i in (0, 2, 3, 5, 6)],
                "no factorizer for ParakeetEncoderAttention": [
                    f"encoder.layers.{i}.self_attn.bias_{x}" for i in (0, 1) for x in "uv"
                ],
                "a convolution of 16 groups is no single matrix": [
                    f"encoder.layers.{i}.conv.depthwise_conv.weight" for i in (0, 1)
                ],
            },
        ),
    ],
)
def test_what_is_not_factorized_is_said(kind, expected, stock_dir):
    assert left(shrinkml.load(stock_dir(kind))) == expected


@pytest.mark.parametrize(
    ("kind", "projections"),
    [("whisper", ("q_proj", "k_proj", "v_proj", "out_proj")), ("wavlm", ("q_proj", "k_proj", "v_proj", "out_proj"))],
)
def test_attention_projections_are_layers_of_their_own(kind, projections, stock_dir):
    names = [layer.name for layer in find_layers(shrinkml.load(stock_dir(kind)))]
    for projection in projections:
        assert any(f".{projection}.weight" in name for name in names)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_output_layers_that_are_tied_to_the_embedding_are_one_layer(kind, stock_dir):
    model = shrinkml.load(stock_dir(kind))
    (tied,) = (note for note in list_parameters(model) if note.verdict == "tied")
    assert tied.why == "network.model.decoder.embed_tokens.weight"
    small = factorize(model, half(model), decompose(model))
    output, embedding = small.get_submodule(tied.name.rpartition(".")[0]), small.network.model.decoder.embed_tokens
    assert output.weight_up is embedding.weight_up
    assert output.weight_down is embedding.weight_down


@pytest.mark.parametrize("kind", ["whisper", "parakeet_ctc"])
def test_a_checkpoint_opens_in_a_fresh_process_with_the_core_alone(kind, stock_dir, waveforms, tmp_path):
    model = shrinkml.load(stock_dir(kind))
    small = factorize(model, half(model), decompose(model))
    save(small, tmp_path / "small")
    np.save(tmp_path / "speech.npy", waveforms[0])
    script = (
        "import sys, json, numpy, shrinkml\n"
        "assert 'transformers' not in sys.modules\n"
        f"model = shrinkml.load({str(tmp_path / 'small')!r})\n"
        f"features = model.features(numpy.load({str(tmp_path / 'speech.npy')!r}))\n"
        "print(json.dumps(model.transcribe([features])))\n"
        "heavy = {'ray', 'fastapi', 'stable_baselines3', 'gymnasium', 'sqlalchemy', 'envs', 'agents', 'server'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(output.stdout.splitlines()[-1]) == small.transcribe([small.features(waveforms[0])])


def test_transformers_is_not_imported_for_the_projects_own_models(tmp_path):
    script = (
        "import sys, shrinkml, shrinkml.storage.checkpoint\n"
        "shrinkml.load('reference/las')\n"
        "assert 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)


class TestWhisper:
    @pytest.fixture
    def model(self, stock_dir):
        return shrinkml.load(stock_dir("whisper"))

    def test_features_are_as_long_as_the_speech_and_filled_up_again_exactly(self, model, waveforms):
        features = [model.features(waveform) for waveform in waveforms]
        assert [len(one) for one in features] == [103, 73, 103]  # three frames past the end still hear a bit of it
        whole = model.speech.extractor(waveforms, sampling_rate=16_000, return_tensors="pt").input_features
        batch = model.speech.batch(features, torch.device("cpu"))
        torch.testing.assert_close(batch.values, whole, atol=1e-6, rtol=0)

    def test_a_mask_over_the_last_frame_does_not_reach_into_the_silence_behind(self, model, waveforms):
        features = model.features(np.concatenate([np.zeros(3_200, np.float32), waveforms[0]]))
        hidden = features.clone()
        hidden[-5:] = 0.0
        whole, masked = (model.speech.batch([one], torch.device("cpu")).values for one in (features, hidden))
        assert torch.equal(masked[:, :, len(features) :], whole[:, :, len(features) :])

    def test_an_utterance_longer_than_its_window_is_refused(self, model):
        with pytest.raises(AudioError, match=r"2\.5 s of audio; this model hears at most 2 s at once"):
            model.features(np.zeros(40_000, np.float32))

    def test_targets_are_the_prompt_but_its_start_the_text_and_the_end(self, model, waveforms):
        output = model.teacher_forced([model.features(waveforms[0])] * 2, ["turn on", "off"])
        said = [model.text.tokenizer.decode(row) for row in transcript_head(output).tokens()]
        assert said == ["<|notimestamps|>turn on<|endoftext|>", "<|notimestamps|>off<|endoftext|>"]

    def test_a_beam_is_searched(self, model, waveforms):
        assert len(model.transcribe([model.features(waveforms[0])], beam=2)) == 1

    def test_no_more_is_written_than_generation_may(self, model, stock_dir, waveforms, tmp_path):
        brief = shrinkml.load(with_generation(stock_dir("whisper"), tmp_path / "brief", max_new_tokens=3))
        (whole,), (part,) = (one.transcribe([one.features(waveforms[0])]) for one in (model, brief))
        assert part == whole[:2] != whole  # a letter is a token, and the first one is a space

    def test_writing_ends_where_the_speech_could_not_hold_more(self, model):
        heard = model.transcribe([model.features(np.zeros(1_600, np.float32))])[0]
        assert len(heard) <= 25


class TestCtc:
    @pytest.fixture
    def model(self, stock_dir):
        return shrinkml.load(stock_dir("wav2vec2"))

    def test_texts_are_put_in_the_letters_that_the_tokenizer_knows(self, model, waveforms):
        output = model.teacher_forced([model.features(waveforms[0])], ["turn on"])
        assert model.text.tokenizer.convert_ids_to_tokens(transcript_head(output).tokens()[0]) == list("TURN|ON")

    def test_repeated_letters_survive_the_collapse(self, model, monkeypatch):
        blank, letters = 0, model.text.encode("ALL")
        path = [letters[0], letters[0], blank, letters[1], letters[1], blank, letters[2]]
        frames = torch.nn.functional.one_hot(torch.tensor(path), 32).float()
        monkeypatch.setattr(type(model), "_frames", lambda self, features: [frames])
        assert model.transcribe([torch.zeros(1, 1)]) == ["ALL"]

    def test_a_beam_is_refused(self, model, waveforms):
        with pytest.raises(ConfigError, match=r"beam 4; a CTC model without a decoder is read greedily, allowed: 1"):
            model.transcribe([model.features(waveforms[0])], beam=4)

    def test_group_norm_over_time_never_sees_padding(self, model, waveforms):
        model.network.config.feat_extract_norm = "group"
        seen = []
        model.network.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(tuple(kwargs["input_values"].shape)), with_kwargs=True
        )
        model.teacher_forced([model.features(waveform) for waveform in waveforms], TEXTS)
        assert seen == [(2, 16_000), (1, 11_200)]


def test_the_example_in_the_readme_runs(stock_dir, waveforms, tmp_path, monkeypatch, capsys):
    readme = (Path(__file__).parents[4] / "docs" / "huggingface.md").read_text(encoding="utf-8")
    (example,) = (
        block for block in re.findall(r"^```python\n(.*?)^```", readme, re.S | re.M) if "path/to/whisper" in block
    )
    monkeypatch.chdir(tmp_path)
    soundfile.write("audio.wav", waveforms[0], 16_000)
    exec(example.replace("path/to/whisper", str(stock_dir("whisper"))), {})
    printed = capsys.readouterr().out
    assert "network.proj_out.weight tied network.model.decoder.embed_tokens.weight" in printed
    assert len(inspect("small-whisper").plan.ranks) == len(find_layers(shrinkml.load("small-whisper")))
