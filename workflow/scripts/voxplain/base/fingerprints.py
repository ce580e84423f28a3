"""Fingerprints of code: a job re-runs when the code that it runs has changed, and not when other code has."""

import ast
import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

PACKAGE = "voxplain"
FOLDER = Path(__file__).resolve().parents[2]


def fingerprint(text: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(*paths: Path) -> str:
    """Return the fingerprint of text files."""
    return fingerprint("\0".join(Path(path).read_text(encoding="utf-8") for path in paths))


def code_hash(script: Path, without: Collection[str] = (), folder: Path = FOLDER) -> str:
    """Return the fingerprint of a script, or of a module's file, and of all that it imports from the library.

    Imports are followed wherever they stand, inside functions too.

    Parameters
    ----------
    script : Path
    without : collection of str
        Modules that are not followed when others import them.
    folder : Path
        Where the library lies.
    """
    text = Path(script).read_text(encoding="utf-8")
    texts = {"": text}
    todo = [name for name in _imported(ast.parse(text)) if _file(folder, name).is_file() and name not in without]
    while todo:
        name = todo.pop()
        if name not in texts:
            texts[name], imported = _read(folder, name)
            todo.extend(imported.difference(without))
    return fingerprint("\0".join(texts[name] for name in sorted(texts)))


@cache
def _read(folder: Path, module: str) -> tuple[str, frozenset[str]]:
    """Return the text of a module and the modules of the library that it imports."""
    text = _file(folder, module).read_text(encoding="utf-8")
    return text, frozenset(name for name in _imported(ast.parse(text)) if _file(folder, name).is_file())


def _file(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(tree: ast.Module) -> Iterable[str]:
    """Yield dotted names that may be modules: ``from a import b`` can mean a.b as well as a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)
