"""Commands in the documents name programs, options, rules and files that exist; those of the demo can be planned."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)


def blocks():
    """Every block of commands, with the page and the line of its beginning as the test's name."""
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 2
            yield pytest.param(found[1], id=f"{page.relative_to(ROOT).as_posix()}:{line}")


@cache
def snakemake_options():
    """Snakemake's command line: every option, and how many words may follow it (None: any number)."""
    from snakemake.cli import get_argument_parser

    parser, counts = get_argument_parser(), {}
    for action in parser._actions:
        takes = 0 if action.nargs == 0 else 1 if action.nargs in (None, "?") else None
        counts |= dict.fromkeys(action.option_strings, takes)
    return counts


RULES = set(re.findall(r"^(?:rule|checkpoint) (\w+):", "\n".join(
    path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
), re.M))  # fmt: skip
MAKEFILE = (ROOT / "Makefile").read_text()
# Of an executor or a storage plugin that need not be installed.
FROM_PLUGINS = ("--storage-s3-endpoint-url", "--storage-s3-region", "--slurm-array-jobs")
OTHER_PROGRAMS = ("git", "cd", "docker", "apptainer")


def snakemake_problems(words):
    """What of a Snakemake command does not exist: options, rules, files that come with the software."""
    problems, waiting, targets, many = [], 0, [], False
    for word in words:
        if word.startswith("-"):
            option = word.split("=")[0]
            if option in FROM_PLUGINS:
                waiting, many = 1, False
            elif option not in snakemake_options():
                problems.append(f"there is no option {option}")
            else:
                count = 0 if "=" in word else snakemake_options()[option]
                waiting, many = count or 0, count is None
        elif waiting:
            waiting -= 1
        elif many and ("." in word or "=" in word or word in RULES or word in ("conda", "apptainer")):
            continue  # files of --configfile, values of --config, --forcerun and --sdm
        else:
            many = False
            targets.append(word)
    problems += [f"there is no rule {target}" for target in targets if target not in RULES]
    problems += [
        f"{word} does not exist" for word in words if word.startswith("config/") and not (ROOT / word).exists()
    ]
    return problems


def problems_of(command):
    words = shlex.split(command, comments=True)
    while words and re.match(r"[A-Z_0-9]+=", words[0]):
        words.pop(0)  # variables of the environment
    if not words:
        return []
    program, rest = words[0], words[1:]
    if program.endswith("snakemake"):
        return snakemake_problems(rest)
    if program == "make":
        wanted = [word for word in rest if "=" not in word]
        return [f"make knows no {one}" for one in wanted if not re.search(rf"^{re.escape(one)}:", MAKEFILE, re.M)]
    if program.endswith(("python", "python3", "pip")):
        files = [word for word in rest if word.endswith((".py", ".txt")) and "/" in word]
        return [f"{file} does not exist" for file in files if not (ROOT / file).exists()]
    if program == "cp":
        return [] if (ROOT / rest[-2]).exists() else [f"{rest[-2]} does not exist"]
    return [] if program in OTHER_PROGRAMS else [f"{program} is not known to this test"]


def commands(text):
    """Single commands of a block, lines that go on joined."""
    for line in text.replace("\\\n", " ").splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield from (part.strip() for part in bare.split("&&"))


@pytest.mark.parametrize("text", list(blocks()))
def test_commands_name_what_there_is(text):
    assert [(line, problem) for line in commands(text) for problem in problems_of(line)] == []


def test_the_check_of_commands_sees_what_is_wrong():
    assert problems_of(".venv/bin/snakemake --cores 8 --dri-run imagess") == [
        "there is no option --dri-run",
        "there is no rule imagess",
    ]
    assert problems_of("make demoo") == ["make knows no demoo"]
    assert problems_of("snakemake --configfile config/nothing.yaml -n") == ["config/nothing.yaml does not exist"]
    assert problems_of("python tests/benchmarks/nothing.py") == ["tests/benchmarks/nothing.py does not exist"]


def demo_commands():
    """Commands of the documents that need no config of the reader's."""
    found = set()
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            for line in commands(block[1]):
                words = shlex.split(line, comments=True)
                mine = words and words[0].endswith("snakemake") and "--cores" in words
                strange = {"--configfile", "--workflow-profile", "--sdm", "--unlock", "--storage-s3-endpoint-url"}
                if mine and not strange & set(words):
                    found.add(tuple(words[1:]))
    return sorted(found)


@pytest.mark.parametrize("words", demo_commands(), ids=" ".join)
def test_commands_without_a_config_can_be_planned(words, tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = subprocess.run(
        [*command, *words, "--dry-run", "--quiet", "all"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
