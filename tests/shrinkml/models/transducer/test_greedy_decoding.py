import torch
from torch import nn

from shrinkml.models.transducer.greedy_decoding import MOST_PER_STEP, begin, decode
from shrinkml.models.transducer.prediction import TiedReducedPrediction

BLANK = 0


class Counting:
    """A prediction network whose output is the number of labels that were said, in sixteenths."""

    def start(self, batch):
        return (torch.zeros(batch, 1),)

    def step(self, label, state):
        said = state[0] + (label != BLANK).float().unsqueeze(1)
        return said / 16, (said,)


def score(joined):
    """Logits that prefer label 2 until as many labels are said as the step's encoding, a whole number, asks for."""
    asked = joined.floor()
    wants = (16 * (joined - asked) < asked).float()
    return torch.cat((1 - wants, torch.zeros_like(wants), wants), -1)


def heard(steps, counts):
    """The number of labels that each utterance gets, of the encodings `steps`, and the decoder then."""
    network, encoded = Counting(), torch.tensor(steps, dtype=torch.float32).unsqueeze(-1)
    said, memory = decode(network, score, encoded, torch.tensor(counts), begin(network, len(steps)), blank=BLANK)
    return [len(one) for one in said], memory


def test_each_step_says_labels_until_the_blank():
    found, memory = heard([[0, 2, 2, 3], [1, 1, 1, 1]], [4, 4])
    assert found == [3, 1]
    assert memory.state[0].squeeze(1).tolist() == [3.0, 1.0]


def test_nothing_is_said_behind_the_end():
    assert heard([[0, 2, 2, 3], [1, 1, 4, 4]], [4, 2])[0] == [3, 1]


def test_a_step_says_so_many_labels_at_most():
    assert heard([[9, 9]], [2])[0] == [2 * MOST_PER_STEP]


def test_a_half_and_the_other_half_say_what_the_whole_says():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        output = nn.Linear(8, 5)
        network = TiedReducedPrediction(output, context=2, heads=1)
        encoded = 3 * torch.randn(3, 10, 8)
    counts = torch.tensor([10, 10, 10])

    def logits(joined):
        return output(joined.tanh()) + torch.tensor([0.5, 0, 0, 0, 0])

    with torch.no_grad():
        whole, _ = decode(network, logits, encoded, counts, begin(network, 3), blank=BLANK)
        first, memory = decode(network, logits, encoded[:, :6], counts - 4, begin(network, 3), blank=BLANK)
        second, _ = decode(network, logits, encoded[:, 6:], counts - 6, memory, blank=BLANK)
    assert [a + b for a, b in zip(first, second, strict=True)] == whole
    assert all(whole)
    assert all(first)
