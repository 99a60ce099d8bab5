"""The words of the product's code: no identifier says `told` where it could say what the thing is."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("api", "worker", "shared", "deploy", "src")

VAGUE: Final = frozenset({"told", "found", "said", "most", "least", "settle", "settled", "place", "placed", "places"})
"""Words that carry neither a type nor a meaning (`told`), mean too much (`place`), or have a usual name (`max`)."""

NOT_FOUND: Final = re.compile("not_found")
"""HTTP's own words, and those of Python's exceptions: `NOT_FOUND`, `ModuleNotFoundError`."""

REPEATED: Final = frozenset({"__init__.py", "__main__.py"})
"""Names that Python gives, once a package."""

ONE_A_SIDE: Final = frozenset({"metrics.py"})
"""Names that each side may have once: the side's own metrics."""

ONE_A_WIRE: Final = frozenset({"routes.py"})
"""Names that each folder of `api` with an HTTP surface may have."""


def _files() -> list[Path]:
    """Files of Python; links into other folders are not followed."""
    folders = [ROOT / name for name in PRODUCT]
    return sorted(path for folder in folders for path in folder.rglob("*.py") if not _is_below_link(path))


def _is_below_link(path: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(ROOT))


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of all variables, attributes, arguments, functions and classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name


def parts(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase, without those of `not_found`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return set(NOT_FOUND.sub("", snake).split("_"))


def test_the_words_of_a_name_are_recognised() -> None:
    """Whole words only: `almost` and `placeholder` are other words."""
    assert parts("_told_before") & VAGUE == {"told"}
    assert parts("LostPlace") & VAGUE == {"place"}
    assert parts("RETRY_MOST_S") & VAGUE == {"most"}
    assert not (parts("GenerationNotFound") | parts("NOT_FOUND") | parts("almost_placeholder")) & VAGUE


def test_no_identifier_is_vague() -> None:
    """In variables, arguments, attributes, functions and classes of the product."""
    vague = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in _files()
        for line, name in identifiers(ast.parse(path.read_text()))
        if parts(name) & VAGUE
    ]
    assert vague == []


def test_no_two_files_have_one_name() -> None:
    """A file's name alone says where it is; only `metrics.py` and `routes.py` repeat, one in a side or wire."""
    paths = [path.relative_to(ROOT) for path in _files() if path.name not in REPEATED]
    names = Counter(path.name for path in paths)
    repeated = {str(path) for path in paths if names[path.name] > 1 and path.name not in ONE_A_SIDE | ONE_A_WIRE}
    assert repeated == set()
    for name in ONE_A_SIDE:
        sides = Counter(path.parts[0] for path in paths if path.name == name)
        assert max(sides.values(), default=0) <= 1, sides
    for name in ONE_A_WIRE:
        assert {path.parts[0] for path in paths if path.name == name} == {"api"}, name
