"""The sentences of the `commands` task: what people say to a home, as a context-free grammar of about 120 words."""

from collections.abc import Mapping

import numpy as np

HOME: Mapping[str, tuple[str, ...]] = {
    "command": (
        "turn {switch} the {room} {device}",
        "turn {switch} the {device} at {time}",
        "turn the {room} {device} {switch}",
        "switch {switch} the {room} {device} {when}",
        "{room} {device} {switch}",
        "{device} {switch}",
        "set the {room} lights to {colour}",
        "make the {room} lamp {colour}",
        "dim the {room} lights to {tens} percent",
        "set the {room} to {degrees} degrees",
        "set the thermostat to {degrees} degrees {when}",
        "{move} the {room} {opening}",
        "{move} the {opening} {when}",
        "lock the {room} door at {time}",
        "check the {room} {device}",
        "how warm is the {room} {when}",
        "play some {music} in the {room}",
        "play {music} for {amount} minutes",
        "{player} {music}",
        "{player} the {music} at {time}",
        "set the volume to {amount}",
        "call {person} at {time}",
        "call {person} {when}",
        "remind me to call {person} at {time}",
        "remind {person} to buy {item} {when}",
        "buy {item} and {item} {when}",
        "send {person} a message {when}",
        "wake me up at {time} on {weekday}",
        "set an alarm for {time}",
        "set a timer for {amount} minutes",
        "start the {colour} timer for {amount} seconds",
        "what is the weather {when}",
    ),
    "switch": ("on", "off"),
    "room": ("kitchen", "bedroom", "bathroom", "garage", "office", "hallway", "garden", "living room"),
    "device": ("lights", "lamp", "fan", "heater", "radio", "television", "oven"),
    "opening": ("window", "blinds", "door"),
    "move": ("open", "close"),
    "colour": ("red", "green", "blue", "yellow", "white", "purple", "orange"),
    "music": ("jazz", "rock", "piano", "music", "news"),
    "player": ("play", "pause", "stop"),
    "person": ("anna", "peter", "maria", "david", "emma", "oliver"),
    "item": ("milk", "bread", "coffee", "apples"),
    "weekday": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "part": ("morning", "afternoon", "evening"),
    "when": ("today", "this {part}", "tomorrow", "tomorrow {part}", "on {weekday}", "on {weekday} {part}"),
    "digit": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "hour": ("{digit}", "ten", "eleven", "twelve"),
    "time": ("{hour}", "{hour} thirty", "{hour} fifteen", "{hour} forty five", "half past {hour}"),
    "tens": ("ten", "twenty", "thirty", "forty", "sixty", "eighty"),
    "degrees": ("twelve", "fifteen", "twenty", "twenty {digit}", "thirty"),
    "amount": ("{digit}", "{tens}", "twenty {digit}", "forty {digit}", "sixty {digit}"),
}


def draw_sentence(generator: np.random.Generator, grammar: Mapping[str, tuple[str, ...]] = HOME) -> str:
    """A sentence of `grammar`, every alternative of a rule equally likely."""
    return _expand("{command}", grammar, generator)


def _expand(phrase: str, grammar: Mapping[str, tuple[str, ...]], generator: np.random.Generator) -> str:
    """`phrase` with every {rule} replaced by one of its alternatives, from the left."""
    before, brace, rest = phrase.partition("{")
    if not brace:
        return phrase
    rule, _, after = rest.partition("}")
    alternatives = grammar[rule]
    chosen = _expand(alternatives[generator.integers(len(alternatives))], grammar, generator)
    return before + chosen + _expand(after, grammar, generator)
