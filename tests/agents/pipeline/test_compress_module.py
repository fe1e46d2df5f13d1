"""A module that knows nothing of ShrinkML, from calibration to a smaller one: a GRU that tells four words apart."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import shrinkml
from agents.pipeline.compress_module import compress
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.errors import CalibrationError, ConfigError, PlanError, StoppedError, UnknownNameError
from shrinkml.job import FinetuneSpec, LayersSpec, SearchSpec
from shrinkml.layers.attention import split_attention

WORDS = ["up", "down", "left", "right"]
QUICK = SearchSpec(strategy="random", evaluations=5, baselines=("greedy",))
EPOCHS = FinetuneSpec(epochs=2, learning_rate=3e-3, batch_size=8)


class Listener(nn.Module):
    """Frames [batch, time, 8] to scores [batch, words]."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 24, batch_first=True)
        self.output = nn.Linear(24, len(WORDS))

    def forward(self, frames):
        return self.output(self.gru(frames)[0].mean(1))


class Attending(Listener):
    """With torch's own attention behind the GRU."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 2, batch_first=True)

    def forward(self, frames):
        heard = self.gru(frames)[0]
        return self.output((heard + self.attention(heard, heard, heard)[0]).mean(1))


def loss(module, features, texts):
    return F.cross_entropy(module(torch.stack(list(features))), torch.tensor([WORDS.index(text) for text in texts]))


def transcribe(module, features):
    return [WORDS[i] for i in module(torch.stack(list(features))).argmax(1)]


def speech(seed, n):
    """Each word is noise around a sound of its own."""
    sounds = torch.randn(len(WORDS), 12, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(n, 12, 8, generator=torch.Generator().manual_seed(seed))
    return [sounds[i % len(WORDS)] + noise[i] for i in range(n)], [WORDS[i % len(WORDS)] for i in range(n)]


@pytest.fixture(scope="module")
def listener():
    """Trained for a second: below 10 % WER."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Listener()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    features, texts = speech(1, 64)
    for _ in range(60):
        optimizer.zero_grad()
        loss(model, features, texts).backward()
        optimizer.step()
    return model.train()


class Wide(Listener):
    """With a feed-forward block behind the GRU."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Linear(24, 96), nn.Linear(96, 24)

    def forward(self, frames):
        heard = self.gru(frames)[0]
        return self.output((heard + self.narrow(F.gelu(self.wide(heard)))).mean(1))


@pytest.mark.parametrize("levers", [("units",), ("rank", "units")])
def test_units_of_a_feed_forward_block_are_cut_if_asked(levers):
    module = Wide()
    found = run(module, levers=levers, compression_ratio=1.5, search=SearchSpec(strategy="greedy", evaluations=1))
    choice = found.plan.choice("wide.weight")
    assert 0 < choice.outputs < 96
    assert found.plan.choice("narrow.weight") == choice.following
    assert found.module.wide.weight.shape == (choice.outputs, 24)
    n_before, n_after = (sum(p.numel() for p in it.parameters()) for it in (module, found.module))
    assert n_before / n_after >= 1.5
    assert (found.before.parameters, found.after.parameters) == (n_before, n_after)
    reopened = reshape(Wide(), found.plan)
    reopened.load_state_dict(found.module.state_dict())
    features = speech(3, 8)[0]
    assert transcribe(reopened, features) == transcribe(found.module, features)


@pytest.mark.parametrize(("levers", "told"), [((), "none"), (("bits",), "bits")])
def test_levers_that_save_no_parameters_are_refused(listener, levers, told):
    with pytest.raises(ConfigError, match=f"levers {told}; allowed: one at least of rank, identity, sparsity, units"):
        run(listener, levers=levers)


def test_torchs_attention_is_factorized_projection_by_projection():
    module = Attending()
    found = run(module, finetune=FinetuneSpec(epochs=0))
    parts = {f"attention.{part}_proj.weight" for part in ("q", "k", "v", "out")}
    assert parts <= {layer.name for layer in find_layers(found.module)}
    assert parts & found.plan.ranks.keys()
    assert isinstance(module.attention, nn.MultiheadAttention)
    reopened = reshape(split_attention(Attending()), found.plan)
    reopened.load_state_dict(found.module.state_dict())
    features = speech(3, 8)[0]
    assert transcribe(reopened, features) == transcribe(found.module, features)


def test_attention_that_is_added_is_left_out_if_asked():
    torch.manual_seed(0)
    found = compress(
        Attending(), loss=loss, transcribe=transcribe, compression_ratio=1.5, levers=("drop",),
        dev=speech(2, 8), test=speech(3, 8), search=QUICK,
    )  # fmt: skip
    assert [(name, choice.dropped) for name, choice in found.plan] == [("attention", True)]
    assert found.after.parameters == sum(it.numel() for it in found.module.parameters())
    assert found.before.parameters > 1.5 * found.after.parameters
    assert found.module(torch.randn(2, 12, 8)).shape == (2, len(WORDS))


def run(module, **changes):
    options = {"compression_ratio": 2.5, "search": QUICK, "finetune": EPOCHS, "factorizer": "svd"}
    data = {"train": speech(1, 64), "dev": speech(2, 32), "test": speech(3, 32)}
    return compress(module, **{"loss": loss, "transcribe": transcribe, **data, **options, **changes})


def test_a_smaller_module_comes_back_with_its_plan_and_figures(listener):
    before = copy.deepcopy(listener.state_dict())
    found = run(listener)
    assert isinstance(found.module, Listener)
    n_before, n_after = (sum(p.numel() for p in module.parameters()) for module in (listener, found.module))
    assert n_before / n_after >= 2.5
    assert (found.before.parameters, found.after.parameters) == (n_before, n_after)
    assert found.before.wer <= 0.1, "the trained one"
    assert found.after.wer <= 0.5, "far better than chance, 0.75"
    assert [(result.strategy, result.seed) for result in found.searches] == [("random", 0), ("greedy", 0)]
    assert listener.training, "the given module is as it was"
    assert all(torch.equal(value, before[name]) for name, value in listener.state_dict().items())


def test_the_same_seed_gives_the_same_module_and_its_weights_open_in_a_fresh_one(listener):
    found, again = run(listener), run(listener)
    fresh = reshape(Listener(), found.plan)
    fresh.load_state_dict(found.module.state_dict())
    x = torch.stack(speech(4, 3)[0])
    assert torch.equal(fresh.eval()(x), again.module.eval()(x))


def test_with_scores_it_learns_from_the_given_module_too(listener):
    def scores(module, features, texts):
        return module(torch.stack(list(features)))[:, None], torch.ones(len(texts), dtype=torch.long)

    def distance(found):
        x = torch.stack(speech(1, 64)[0])
        return F.kl_div(
            found.module(x).log_softmax(-1), listener(x).log_softmax(-1), reduction="sum", log_target=True
        ).item()

    alone, taught = run(listener), run(listener, scores=scores)
    assert taught.plan == alone.plan
    assert taught.kept == alone.kept == "fine-tuned"
    assert distance(taught) < distance(alone)
    undistilled = EPOCHS.model_copy(update={"distill": False})
    assert distance(run(listener, scores=scores, finetune=undistilled)) == distance(alone)


def test_without_training_speech_nothing_is_fine_tuned(listener):
    assert run(listener, train=None).kept == "factorized"


def test_fine_tuning_at_a_harmful_rate_leaves_no_more_errors_than_none(listener):
    harmful = FinetuneSpec(epochs=1, learning_rate=1.0, batch_size=8)
    tuned, untuned = (run(listener, finetune=f, compression_ratio=1.3) for f in (harmful, FinetuneSpec(epochs=0)))
    assert tuned.plan == untuned.plan
    assert tuned.after.wer <= untuned.after.wer


def test_it_learns_in_bfloat16_if_asked(listener):
    seen = set()

    def watched(module, features, texts):
        seen.add(torch.is_autocast_enabled("cpu"))
        return loss(module, features, texts)

    run(listener, loss=watched, finetune=FinetuneSpec(epochs=1, batch_size=8, mixed_precision=True))
    assert True in seen


def test_it_can_go_on_from_what_it_returned(listener):
    first = run(listener, compression_ratio=1.6)
    second = run(first.module, compression_ratio=1.5)
    assert second.before.parameters == first.after.parameters >= 1.5 * second.after.parameters
    ranks = {layer.name: first.plan.choice(layer.name).rank for layer in find_layers(listener)}
    assert all(rank is None or second.plan.choice(name).rank <= rank for name, rank in ranks.items())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"compression_ratio": 1.0}, ConfigError, "compression_ratio is 1.0; allowed: above 1.0"),
        ({"compression_ratio": float("nan")}, ConfigError, "compression_ratio is nan"),
        ({"compression_ratio": 500.0}, PlanError, "the goal of 500x is out of reach"),
        ({"dev": ([], [])}, ConfigError, "dev has 0 features and 0 texts; as many of each, one at least"),
        ({"test": (speech(3, 2)[0], ["up"])}, ConfigError, "test has 2 features and 1 texts"),
        ({"search": SearchSpec(strategy="luck")}, UnknownNameError, "no strategy named 'luck'"),
        ({"factorizer": "qr"}, UnknownNameError, "no factorizer named 'qr'"),
        ({"search": SearchSpec(strategy="dyna", policy="/none")}, ConfigError, "search.policy: /none cannot be read"),
        ({"loss": lambda *_: torch.zeros(())}, CalibrationError, "reached no factorizable layer"),
        ({"should_stop": lambda: True}, StoppedError, "stopped"),
    ],
)
def test_what_cannot_be_done_is_refused(listener, changes, error, message):
    with pytest.raises(error, match=message):
        run(listener, **changes)


def test_a_module_without_layers_is_refused():
    with pytest.raises(PlanError, match="no factorizable layer"):
        run(nn.PReLU())


def test_the_package_offers_it():
    assert shrinkml.compress is compress
    with pytest.raises(AttributeError, match="no attribute 'squeeze'"):
        shrinkml.squeeze  # noqa: B018 - looked up on purpose


def test_without_what_searches_need_it_is_said_what_to_install():
    program = "import sys; sys.modules['gymnasium'] = None; import shrinkml; shrinkml.compress"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    message = "shrinkml.compress needs gymnasium, which is not installed; install shrinkml[search]"
    assert run.stderr.splitlines()[-1] == f"shrinkml.errors.MissingPackageError: {message}"


def test_layers_of_an_own_module_may_be_left_alone(listener):
    found = run(listener, layers=LayersSpec(except_="output"))
    assert isinstance(found.module.output, nn.Linear)
    assert set(found.plan.ranks) <= {"gru.weight_ih_l0", "gru.weight_hh_l0"}
    with pytest.raises(PlanError, match="the pattern 'lstm' matches none"):
        run(listener, layers=LayersSpec(only="lstm"))
