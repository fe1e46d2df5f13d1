"""Unknown tokens: what of the references a model's vocabulary does not hold, whatever form they are written in."""

from collections.abc import Callable, Iterable, Sequence

from shrinkml.errors import ManifestError
from shrinkml.speech.spelling import Spelling
from shrinkml.speech.utterance import Utterance

MOST_UNKNOWN = 0.2  # share of the tokens of a split; a model that is taught more of them forgets its words
N_EXAMPLES = 3

Spell = Callable[[str], Spelling | None]


def unknown_share(texts: Iterable[str], spell: Spell) -> float:
    """The share of unknown tokens among those of `texts`; 0 where the model does not tell its tokens."""
    spellings = [spelling for text in texts if (spelling := spell(text)) is not None]
    n_tokens = sum(len(spelling.tokens) for spelling in spellings)
    return sum(spelling.n_unknown for spelling in spellings) / max(1, n_tokens)


def check_known(split: str, utterances: Sequence[Utterance], spell: Spell) -> None:
    """That a model knows most tokens of a split that it is to learn from or be calibrated on.

    Raises:
        ManifestError: more than MOST_UNKNOWN of them are unknown; the message shows utterances with many.
    """
    share = unknown_share((utterance.text for utterance in utterances), spell)
    if share <= MOST_UNKNOWN:
        return
    worst = sorted(utterances, key=lambda utterance: -unknown_share([utterance.text], spell))[:N_EXAMPLES]
    examples = "\n  ".join(f"{utterance.audio}: {utterance.text!r}" for utterance in worst)
    raise ManifestError(
        f"{share:.0%} of the tokens of {split} are unknown to the model, in whatever case and without punctuation; "
        f"allowed: {MOST_UNKNOWN:.0%}. Leave such utterances out, write them in the model's words and letters, or take "
        f"a model of this language:\n  {examples}"
    )
