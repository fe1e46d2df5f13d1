import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shrinkml.compression.sites import find_layers
from shrinkml.models.transducer.prediction import START, LstmPrediction, TiedReducedPrediction

LABELS = torch.tensor([[3, 1, 1, 4, 2], [2, 2, 4, 3, 1]])


@pytest.fixture(params=["lstm", "tied"])
def prediction(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if request.param == "lstm":
            return LstmPrediction(6, 4, 7, 8, dropout=0.5).eval()
        return TiedReducedPrediction(nn.Linear(8, 6), context=3, heads=2).eval()


@torch.no_grad()
def test_step_by_step_it_says_what_it_says_of_all_labels(prediction):
    output, state = prediction.step(torch.full((2,), START), prediction.start(2))
    outputs = [output]
    for label in LABELS.T:
        output, state = prediction.step(label, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), prediction(LABELS))


@torch.no_grad()
def test_what_was_said_matters_and_what_comes_does_not(prediction):
    other = LABELS.clone()
    other[:, 2] = 5
    before, after = prediction(LABELS), prediction(other)
    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert (after[:, 3] - before[:, 3]).abs().max() > 1e-4


@pytest.fixture
def tied():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = nn.Linear(8, 6)
        return nn.ModuleDict({"output": output, "prediction": TiedReducedPrediction(output, context=3, heads=2)}).eval()


@torch.no_grad()
def test_a_tied_network_is_the_published_average(tied):
    """z = 1 / (H N) * sum_h sum_n (p_hn . e_n) e_n over the last labels, the oldest first."""
    network = tied["prediction"]
    embedded = [tied["output"].weight[label] for label in (1, 4, 2)]
    z = sum((network.places[h, n] @ e) * e for h in range(2) for n, e in enumerate(embedded)) / 6
    expected = F.silu(network.norm(network.projection(z)))
    torch.testing.assert_close(network(LABELS)[0, 5], expected)


@torch.no_grad()
def test_a_tied_network_forgets_what_lies_behind_its_context(tied):
    other = LABELS.clone()
    other[:, 0] = 5
    before, after = tied["prediction"](LABELS), tied["prediction"](other)
    assert (after[:, 1:4] - before[:, 1:4]).abs().amax((0, 2)).min() > 1e-4
    torch.testing.assert_close(after[:, 4:], before[:, 4:])


@torch.no_grad()
def test_the_start_counts_as_nothing_said(tied):
    network = tied["prediction"]
    nothing = F.silu(network.norm(network.projection(torch.zeros(8))))
    torch.testing.assert_close(network(LABELS)[0, 0], nothing)


def test_the_matrix_of_the_output_layer_is_the_embedding_and_counts_once(tied):
    assert tied["prediction"].embedding.weight is tied["output"].weight
    assert [layer.name for layer in find_layers(tied)] == ["output.weight", "prediction.projection.weight"]
    assert sum(p.numel() for p in tied.parameters()) == 6 * 8 + 6 + 2 * 3 * 8 + 8 * 8 + 8 + 2 * 8
