"""Owns cutting the key that was sent out of whatever a provider says.

Pure. Providers repeat the key they refuse: whole, in part, or with its middle masked. Only the very key is cut: a
pattern for keys in general would also cut help links and ids that a person needs.
"""

import re
from typing import Final

MARK: Final = "[key]"
_MIN_PART: Final = 8
"""Characters of the key in a row that count as the key. A shorter key counts only as
a word of its own: there are local servers with the key `x`, and their sentences must stay readable."""
_MIN_END: Final = 2
"""Characters of the key's begin or end beside a mask."""
_MASKED: Final = re.compile(r"[^\s\"'`,;()<>]*(?:\*{2,}|•{2,}|…|\.{3,}|[xX]{4,})[^\s\"'`,;()<>]*")


def cut_key(text: str, key: str | None) -> str:
    """`text` without the key, its longer parts, and masked forms of it."""
    if not key:
        return text
    if len(key) < _MIN_PART:
        return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", MARK, text)
    text = text.replace(key, MARK)
    text = _MASKED.sub(lambda match: MARK if _is_masked(match[0], key) else match[0], text)
    return _cut_parts(text, key)


def _is_masked(word: str, key: str) -> bool:
    head = re.split(r"\*|•|…|\.\.\.|[xX]{4,}", word, maxsplit=1)[0]
    tail = re.split(r"\*|•|…|\.\.\.|[xX]{4,}", word)[-1].rstrip(".:!?")
    begins = len(head) >= _MIN_END and key.startswith(head)
    ends = len(tail) >= _MIN_END and key.endswith(tail)
    return begins or ends


def _cut_parts(text: str, key: str) -> str:
    """Cut each run of at least `_MIN_PART` characters that the key holds too."""
    kept, start = [], 0
    while start < len(text):
        size = 0
        while text[start : start + size + 1] in key and start + size < len(text):
            size += 1
        if size >= _MIN_PART and text[start : start + size] != MARK:
            kept.append(MARK)
            start += size
        else:
            kept.append(text[start])
            start += 1
    return "".join(kept)
