import pytest
import torch

from shrinkml.models.heads import ATTENTION, CTC, IGNORE
from shrinkml.models.tokenizer import BLANK, END, Tokenizer
from shrinkml.models.trainable.attention_ctc import joint_heads, joint_loss, taught

TOKENIZER = Tokenizer.from_texts(["on off"], "word")
OFF, ON = TOKENIZER.encode("off on")


@pytest.fixture
def heads():
    generator = torch.Generator().manual_seed(0)
    said, labels = torch.randn(2, 3, 5, generator=generator), torch.randn(2, 6, 5, generator=generator)
    targets = taught(TOKENIZER, ["on off", "off"], torch.device("cpu")).targets
    return joint_heads(said, labels, torch.tensor([6, 4]), targets, label_smoothing=0.1)


def test_a_decoder_is_fed_each_token_before_it_is_to_say_the_next():
    fed, targets = taught(TOKENIZER, ["on off", "off"], torch.device("cpu"))
    assert targets.tolist() == [[ON, OFF, END], [OFF, END, IGNORE]]
    assert fed[0].tolist() == [END, ON, OFF]
    assert fed[1, :2].tolist() == [END, OFF]


def test_the_first_head_is_the_decoders(heads):
    assert list(heads) == [ATTENTION, CTC]
    assert heads[ATTENTION].tokens() == [[ON, OFF, END], [OFF, END]]
    assert heads[ATTENTION].label_smoothing == 0.1


def test_labels_of_frames_have_no_end(heads):
    assert heads[CTC].tokens() == [[ON, OFF], [OFF]]
    assert [len(rows) for rows in heads[CTC].rows()] == [6, 4]
    assert heads[CTC].blank == BLANK


def test_the_loss_mixes_both(heads):
    attention, ctc = heads[ATTENTION].loss(), heads[CTC].loss()
    assert joint_loss(heads, 0.0) == attention
    torch.testing.assert_close(joint_loss(heads, 0.25), 0.75 * attention + 0.25 * ctc)
