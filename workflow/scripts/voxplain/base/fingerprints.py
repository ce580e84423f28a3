"""Fingerprints of code: a job re-runs when the code that it runs has changed, and not when other code has."""

import hashlib
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

PACKAGE = "voxplain"
FOLDER = Path(__file__).resolve().parents[2]
# Imports of the library wherever they stand. A syntax tree would say the same at fifty times the cost, which every job
# on a cluster pays; a line of a docstring that looks like an import does no harm.
IMPORTS = re.compile(
    rf"^[ \t]*(?:from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^#\n]*)|import[ \t]+([^#\n]*))", re.MULTILINE
)


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
    todo = [name for name in _imported(text) if _file(folder, name).is_file() and name not in without]
    while todo:
        name = todo.pop()
        if name not in texts:
            texts[name], imported = _read(folder, name)
            todo.extend(imported.difference(without))
    return fingerprint("\0".join(texts[name] for name in sorted(texts)))


def stage_hashes(workflow: Path) -> dict[str, str]:
    """Return the fingerprint of every stage: its rules, their scripts and all that these import from the library.

    Parameters
    ----------
    workflow : Path
        The folder with ``rules`` and ``scripts``.

    Returns
    -------
    dict of str to str
        By the rule file's name, sorted.
    """
    stages = {}
    for rules in sorted(Path(workflow).glob("rules/*.smk")):
        text = rules.read_text(encoding="utf-8")
        scripts = sorted(set(re.findall(r'"\.\./scripts/(\w+)\.py"', text)))
        folder = Path(workflow) / "scripts"
        stages[rules.stem] = fingerprint(
            "\n".join([text, *(code_hash(folder / f"{name}.py", folder=folder) for name in scripts)])
        )
    return stages


@cache
def _read(folder: Path, module: str) -> tuple[str, frozenset[str]]:
    """Return the text of a module and the modules of the library that it imports."""
    text = _file(folder, module).read_text(encoding="utf-8")
    return text, frozenset(name for name in _imported(text) if _file(folder, name).is_file())


def _file(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(text: str) -> Iterable[str]:
    """Yield dotted names that may be modules: ``from a import b`` can mean a.b as well as a."""
    for package, names, modules in IMPORTS.findall(text):
        if package:
            yield package
            yield from (f"{package}.{name}" for name in _names(names))
        else:
            yield from (name for name in _names(modules) if name.split(".")[0] == PACKAGE)


def _names(listed: str) -> Iterable[str]:
    """Yield the names of an import statement without comments, brackets and what they are renamed to."""
    text = re.sub(r"#.*", "", listed).strip("() \t\n\\")
    return (part.split()[0] for part in text.split(",") if part.strip())
