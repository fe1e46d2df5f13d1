"""The look-up table of a model whose modules take as long as they have weights, and that of a real one."""

import json

import pytest
import torch
from torch import nn

from envs.menus import build_menus, worthwhile
from shrinkml.compression.sites import WiredPairs, current_plan, find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.compression.unit_flow.recurrent_units import find_recurrent_units
from shrinkml.errors import StoppedError
from shrinkml.layers.lstm import FormLSTM
from shrinkml.measure.latency import latency_prices
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import PriceList
from shrinkml.plan.wiring import wiring_of

UTTERANCES = [torch.randn(30, 40), torch.randn(50, 40)]
OTHER_S = 100.0  # that the model takes for an utterance beside its modules, on the clock of the tests
STEPS = 3  # of its decoder


class Recogniser(nn.Module):
    """An LSTM, a linear layer that is called for each of a few steps, and one that is never called."""

    def __init__(self, units=24):
        super().__init__()
        self.encoder = FormLSTM.of(nn.LSTM(40, units, batch_first=True, bidirectional=True))
        self.decoder = nn.Linear(2 * units, 2 * units)
        self.unused = nn.Linear(2 * units, 30)
        self.tick = lambda seconds: None

    @property
    def module(self):
        return self

    @torch.inference_mode()
    def transcribe(self, features, *, beam=1):
        self.tick(OTHER_S)
        state = self.encoder(torch.stack(list(features)))[0][:, -1]
        for _ in range(STEPS):
            state = self.decoder(state)
        return [""] * len(features)


@pytest.fixture
def clock(monkeypatch):
    """A clock on which a module takes a second for each of its weights, whenever it is called."""
    now = 0.0

    def tick(seconds):
        nonlocal now
        now += seconds

    def called(module, inputs, outputs):
        if not isinstance(module, Recogniser):
            tick(n_weights(module))

    monkeypatch.setattr("shrinkml.measure.latency.time.thread_time", lambda: now)
    hook = torch.nn.modules.module.register_module_forward_hook(called)
    yield tick
    hook.remove()


def n_weights(module):
    return sum(parameter.numel() for parameter in module.parameters())


def menus_of(model):
    return build_menus(find_layers(model), current_ranks=current_plan(model), steps=4)


def plans(model):
    """One for each place of the menus, and one of layers at different places."""
    menus = {name: menu for name, menu in menus_of(model).items() if name != "unused.weight"}
    for level in range(4):
        ranks = {name: menu[min(level, len(menu) - 1)] for name, menu in menus.items()}
        yield CompressionPlan.of_ranks({name: rank for name, rank in ranks.items() if rank is not None})
    yield CompressionPlan.of_ranks({name: menu[number % 3] for number, (name, menu) in enumerate(menus.items())})


@pytest.mark.parametrize("present", [{}, {"encoder.weight_hh_l0": 8, "decoder.weight": 10}], ids=["dense", "low rank"])
def test_where_modules_take_as_long_as_they_have_weights_the_sum_is_the_time_of_the_plan(clock, present):
    model = reshape(Recogniser(), CompressionPlan.of_ranks(present))
    model.tick = clock
    prices = latency_prices(model, UTTERANCES, audio_s=2.0, menus=menus_of(model), rounds=1)

    def time_of(small):
        return OTHER_S + n_weights(small.encoder) + STEPS * n_weights(small.decoder)

    assert prices.original == pytest.approx(1e9 * time_of(model))  # two utterances in two seconds of audio
    for plan in plans(model):
        assert prices.price(plan) == pytest.approx(1e9 * time_of(reshape(model, plan)))


def test_a_layer_that_is_never_called_stays_as_it_is():
    model = Recogniser()
    prices = latency_prices(model, UTTERANCES, audio_s=2.0, menus=menus_of(model), rounds=1)
    assert worthwhile(menus_of(model), prices)["unused.weight"] == (None,)


def test_measured_prices_never_fall_with_the_rank_and_low_ranks_of_large_layers_pay():
    torch.manual_seed(0)
    model = Recogniser(units=512)
    menus = menus_of(model)
    prices = latency_prices(model, UTTERANCES, audio_s=2.0, menus=menus, rounds=3)
    for name, menu in menus.items():
        at_ranks = [prices.sites[name].at(Choice(rank=rank)) for rank in menu[:-1]]
        assert at_ranks == sorted(at_ranks)
    lowest = CompressionPlan.of_ranks({name: menu[0] for name, menu in menus.items()})
    assert prices.ratio(lowest) > 3.0


def test_the_model_is_as_it_was_afterwards():
    model = Recogniser().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    threads = torch.get_num_threads()
    latency_prices(model, UTTERANCES, audio_s=2.0, menus=menus_of(model), rounds=1)
    assert model.training
    assert torch.get_num_threads() == threads
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not model.decoder._forward_pre_hooks


def test_timing_can_be_called_off():
    model = Recogniser()
    with pytest.raises(StoppedError, match="stopped while layers were timed"):
        latency_prices(model, UTTERANCES, audio_s=2.0, menus=menus_of(model), should_stop=lambda: True)


class Narrowable(nn.Module):
    """An LSTM whose outputs one linear layer multiplies, and behind it a block of two."""

    def __init__(self):
        super().__init__()
        self.encoder = FormLSTM.of(nn.LSTM(40, 24, batch_first=True, bidirectional=True))
        self.fed = nn.Linear(48, 20)
        self.up, self.down = nn.Linear(20, 64), nn.Linear(64, 20)
        self.tick = lambda seconds: None

    @property
    def module(self):
        return self

    @torch.inference_mode()
    def transcribe(self, features, *, beam=1):
        self.tick(OTHER_S)
        self.down(self.up(self.fed(self.encoder(torch.stack(list(features)))[0])).relu())
        return [""] * len(features)


def test_fewer_units_cost_what_modules_take_that_are_as_much_narrower(clock):
    model = Narrowable()
    model.tick = clock
    pairs = find_recurrent_units(model, lambda: model.transcribe(UTTERANCES[:1]))
    pairs = WiredPairs({**pairs, "up.weight": "down.weight"}, pairs.feeds)
    left = dict.fromkeys(pairs, (6, 12, 18)) | {"up.weight": (8, 32)}
    prices = latency_prices(model, UTTERANCES, 2.0, menus_of(model), units=left, pairs=pairs, rounds=1)
    wiring = wiring_of(find_layers(model, pairs=pairs), CompressionPlan())
    for n, n_inner in ((6, 8), (12, 32), (18, 32)):
        units = {name: Choice(outputs=4 * n) for name in pairs} | {"up.weight": Choice(outputs=n_inner)}
        for others in ({}, {"fed.weight": Choice(rank=4)}):
            plan = wiring.completed(CompressionPlan({**units, **others}))
            small = reshape(model, plan)
            expected = OTHER_S + sum(n_weights(part) for part in (small.encoder, small.fed, small.up, small.down))
            assert prices.price(plan) == pytest.approx(1e9 * expected, rel=1e-6)
    assert PriceList.from_json(json.loads(json.dumps(prices.to_json()))) == prices
