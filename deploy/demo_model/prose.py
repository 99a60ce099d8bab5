"""Owns the words of the demo model, and how text is cut into pieces.

Pure, and the same for the same prompt and seed, so that two runs of one request can be compared.
"""

import random
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

_ECHO_CHARS: Final = 160

# About the size of a model's tokens. Joined again they are exactly the text.
_PIECE: Final = re.compile(r"\s*\S{1,6}|\s+")

_OPENINGS: Final = (
    "Good question — and I am happy to talk about it at some length.",
    "Let me think about that out loud, one token at a time.",
    "Here is what a model with no weights at all can say about that.",
    "I have looked into it as deeply as a demo can.",
)

_ANSWER: Final = """\
You asked: *{prompt}*

{opening} I am the **demo model**: a small program that speaks the OpenAI protocol and makes its \
answers up, so that you can watch a stream without a key, a bill or a GPU.

## What is happening while you read

1. Your request was queued, and a worker picked it up.
2. The worker reads my tokens and appends each to a log.
3. Whoever watches is reading that log, not my connection — so nothing hangs on any one socket.

## Things to try right now

- **Reload the page**, or cut your network for a moment: the answer goes on where you left it.
- **Open it in a second tab**, or on another machine: everybody sees the same words.
- **Press stop** in one place, and it stops in all of them.

```python
for token in answer:  # this line is run {count} times or so
    print(token, end="", flush=True)
```

{closing} Ask me something else whenever you like ☕
"""

_CLOSINGS: Final = (
    "That is all there is to it, and it took some care to make it look so simple.",
    "None of this needed me to be clever, only to be slow enough to be watched.",
    "A real model would have more to say about the matter, at the same pace.",
)

_SUBJECTS: Final = (
    "The reader",
    "A worker",
    "The log",
    "Every viewer",
    "A late guest",
    "The café",
    "Die Brücke",
    "这段文字",
)
_VERBS: Final = ("waits for", "remembers", "carries", "repeats", "follows", "outlives", "reaches")
_OBJECTS: Final = (
    "the next word",
    "what was said",
    "a quiet moment",
    "the whole answer",
    "its place 🧭",
    "the last line",
)

_REASONS: Final = "First I look at what was asked. Then I weigh what I know, which is little, and choose plain words. "
_REFUSALS: Final = "I am sorry, but I was asked to refuse, so I cannot help with that. "


class Voice:
    """All texts for one prompt and one seed."""

    def __init__(self, prompt: str, seed: int) -> None:
        self._prompt = " ".join(prompt.split()) or "nothing at all"
        # As bytes, because a prompt may hold lone surrogates, which `random` cannot encode.
        self._key = f"{seed}\0{prompt}".encode("utf-8", "surrogatepass")

    def answer(self) -> str:
        """A few paragraphs of Markdown."""
        chance = random.Random(self._key)
        shown = self._prompt if len(self._prompt) <= _ECHO_CHARS else self._prompt[:_ECHO_CHARS] + "…"
        return _ANSWER.format(
            prompt=shown,
            opening=chance.choice(_OPENINGS),
            closing=chance.choice(_CLOSINGS),
            count=chance.randrange(150, 250),
        )

    def endless(self) -> Iterator[str]:
        """The answer, followed by an endless sequence of sentences."""
        chance = random.Random(self._key)
        return chain([self.answer()], (self._sentence(chance) for _ in iter(int, 1)))

    def reasons(self) -> Iterator[str]:
        """Endless reasoning."""
        return chain([f"The question is: {self._prompt[:_ECHO_CHARS]}. "], (_REASONS for _ in iter(int, 1)))

    def refusals(self) -> Iterator[str]:
        """An endless refusal."""
        return (_REFUSALS for _ in iter(int, 1))

    def word(self, name: str) -> str:
        """A short text for a property called `name`."""
        return f"{name} for {self._prompt[:40]}"

    @staticmethod
    def _sentence(chance: random.Random) -> str:
        return f"{chance.choice(_SUBJECTS)} {chance.choice(_VERBS)} {chance.choice(_OBJECTS)}. "


def pieces(texts: Iterator[str], chars: int | None) -> Iterator[str]:
    """The joined texts cut into word-like pieces, or into pieces of exactly `chars` (but the last)."""
    if chars is None:
        for text in texts:
            yield from _PIECE.findall(text)
        return
    rest = ""
    for text in texts:
        rest += text
        while len(rest) >= chars:
            yield rest[:chars]
            rest = rest[chars:]
    if rest:
        yield rest


def in_parts(text: str, count: int) -> Iterator[str]:
    """`text` in exactly `count` pieces of nearly the same length; it must have at least `count` characters."""
    whole, more = divmod(len(text), count)
    start = 0
    for i in range(count):
        end = start + whole + (i < more)
        yield text[start:end]
        start = end
