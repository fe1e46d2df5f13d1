"""One generation of a batch of three, step by step: token 3 is that for silence, token 0 the end."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from shrinkml.models.huggingface.decoding.silence_watch import SilenceWatch

SILENT, SPEECH = [0.0, 0.0, 0.0, 9.0], [9.0, 0.0, 0.0, 0.0]
SURE, UNSURE = [0.0, 9.0, 0.0, 0.0], [0.0, 0.1, 0.0, 0.0]
END = [9.0, 0.0, 0.0, 0.0]


class Network(nn.Module):
    def forward(self, scores: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=scores)


@pytest.fixture
def silent():
    """Scores of each step -> what the watch says of the three in the end; token 1 is written but where they end."""

    def run(before, *steps, most=(9, 9, 9), written=1):
        watch, network = SilenceWatch(3, 0, most), Network()
        with watch.on(network):
            network(torch.tensor(before)[:, None])
            network(torch.tensor([SPEECH] * 3)[:, None])  # of later calls, nothing is noted
        for scores in steps:
            given = torch.tensor(scores)
            assert watch(torch.full((3, 2), written), given) is given
        return watch.silent([9, 9, 9])

    return run


def test_unlikely_words_where_nobody_may_speak_are_silence(silent):
    assert silent([SILENT, SILENT, SPEECH], [UNSURE, SURE, UNSURE], [END] * 3) == [False, False, False]
    assert silent([SILENT, SILENT, SPEECH], [UNSURE, SURE, UNSURE], [UNSURE, SURE, UNSURE]) == [True, False, False]


def test_what_follows_the_end_or_the_most_tokens_does_not_count(silent):
    steps = [[SURE] * 3, [END, SURE, SURE], *[[UNSURE] * 3] * 12]
    assert silent([SILENT] * 3, *steps, most=(20, 2, 20)) == [False, False, True]


def test_what_follows_a_transcript_that_was_ended_does_not_count(silent):
    """The tokens that follow are others than those that were the likeliest."""
    assert silent([SILENT] * 3, [SURE] * 3, *[[UNSURE] * 3] * 12, most=(20, 20, 20), written=2) == [False, False, False]


def test_afterwards_the_network_is_heard_no_more():
    watch, network = SilenceWatch(3, 0, (1,)), Network()
    with watch.on(network):
        pass
    network(torch.zeros(1, 1, 4))
    with pytest.raises(AssertionError, match="the network was not called"):
        watch.silent([1])
