"""Recordings in which nobody speaks, told by what a Whisper makes of them.

It was taught a token for them, which it finds likely before its first word; what it writes all the same is mostly
unlikely, or a word or two ("you", "Thank you.") that it is quite sure of.

References:
    openai/whisper: transcribe.py (no_speech_threshold, logprob_threshold). The rule for few words is our own: spoken
    digits of 0.3 s have probabilities up to 0.74, digital silence and noise of little power 0.91 to 0.95.
"""

NO_SPEECH = 0.6  # probability of the token from which nobody may have spoken,
UNSURE = -1.0  # and the mean log probability of the tokens written, the end included, below which nobody has
SURE_NO_SPEECH = 0.9  # probability from which nobody has spoken
FEW_TOKENS = 4  # where so many are written at most


def nobody_speaks(no_speech: float, mean_log_probability: float, n_tokens: int) -> bool:
    """True where a transcript is that of silence.

    Args:
        no_speech: the probability of the token for it behind the first of the prompt.
        mean_log_probability: of the tokens that were written, the end included.
        n_tokens: of the text.
    """
    few = no_speech > SURE_NO_SPEECH and n_tokens <= FEW_TOKENS
    return few or (no_speech > NO_SPEECH and mean_log_probability < UNSURE)
