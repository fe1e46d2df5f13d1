from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import BLANK, END, Tokenizer
from shrinkml.models.trainable.trainable_recipe import recipe

SHAPE = LasConfig(n_mels=8, hidden=4, decoder=4, embedding=4)


def test_it_starts_with_the_end_and_writes_words_with_a_space():
    found = recipe(Las(SHAPE, Tokenizer.from_texts(["on off"], "word")), ("hidden",), blank=BLANK)
    assert found.prompt == ((END,),)
    assert (found.end, found.blank, found.state) == (END, BLANK, ("hidden",))
    assert found.vocabulary == ("", "", " <unk>", " off", " on")
    assert found.text([4, 3, END, 4]) == "on off"


def test_letters_are_written_without_a_space():
    letters = recipe(Las(SHAPE, Tokenizer.from_texts(["on"], "char")), ())
    assert letters.vocabulary[3:] == ("n", "o")
