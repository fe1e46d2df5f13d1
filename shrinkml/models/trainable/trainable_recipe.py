"""The way in which the ONNX graphs of a recogniser of our own are driven."""

from typing import Any

from shrinkml.export.log_mel_graph import frame_samples
from shrinkml.export.recipe import Recipe
from shrinkml.models.tokenizer import BLANK, END
from shrinkml.models.trainable.trainable_recogniser import TrainableRecogniser


def recipe(model: TrainableRecogniser[Any], state: tuple[str, ...], *, blank: int | None = None) -> Recipe:
    """An encoder and a decoder of `state`, which begins with `<end>`; a `blank` is written and no text."""
    tokenizer = model.tokenizer
    space = " " if tokenizer.unit == "word" else ""
    return Recipe(
        sample_rate_hz=model.sample_rate_hz,
        shortest_samples=frame_samples(model.sample_rate_hz)[0],
        prompt=((END,),),
        end=END,
        state=state,
        blank=blank,
        vocabulary=tuple(
            "" if token in (BLANK, END) else space + text for token, text in enumerate(tokenizer.vocabulary)
        ),
    )
