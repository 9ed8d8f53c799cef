"""What the README and the pages say: short, complete, and true where they are programs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import magenta_vae

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
MOST_LINES = 150
BLOCK = re.compile(r"(<!-- not run: .*? -->\n)?```python\n(.*?)```", re.DOTALL)
OF_ITS_OWN = {"extending.md"}  # tests/test_extending.py runs it whole.
PAGES = [README, *(page for page in sorted(DOCS.glob("*.md")) if page.name not in OF_ITS_OWN)]
# The files that examples name.
SONGS = {"song.mid": 9, "a.mid": 3, "b.mid": 11, "fast-1.mid": 5, "fast-2.mid": 20, "slow-1.mid": 1}


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_the_architecture_names_every_module():
    text = (DOCS / "architecture.md").read_text()
    package = ROOT / "magenta_vae"
    names = [path.relative_to(package).with_suffix("") for path in sorted(package.rglob("*.py"))]
    # Of these two folders the page has one row each, with the names of their modules alone.
    missing = [
        str(name)
        for name in names
        if not name.name.startswith("__")
        and f"`{name if name.parts[0] not in ('workflows', 'configuration') else name.name}`"
        not in text
    ]
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    """To files of the checkout; the site's own check knows no others."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    here = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in here if not (page.parent / link).exists()] == []


USED = re.compile(r"(?:scripts/|magenta_vae )(\w+)((?:(?!scripts/|magenta_vae |&&|[;|`#]).)*)")


def commands_of_pages():
    """Returns the flags and gin files that pages give each command, with the pages."""
    used = {}
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for line in page.read_text().replace("\\\n", " ").splitlines():
            for name, arguments in USED.findall(line):
                if (ROOT / "scripts" / name).is_file():
                    given = re.findall(r"(?<![\w-])--(\w+)(?:=([\w./-]+))?", arguments)
                    used.setdefault(name, set()).update((page.name, *each) for each in given)
    return used


@pytest.mark.parametrize("name, given", sorted(commands_of_pages().items()))
def test_commands_of_the_pages_have_these_flags(name, given):
    shown = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    known = set(re.findall(r"^  --(?:\[no\])?(\w+)", shown, re.MULTILINE))
    known |= {f"no{flag}" for flag in re.findall(r"^  --\[no\](\w+)", shown, re.MULTILINE)}
    known.add("help")
    assert {each for each in given if each[1] not in known} == set()
    files = {each for each in given if each[1] == "gin_file" and each[2].endswith(".gin")}
    missing = {each for each in files if not (ROOT / "gin_configs" / each[2]).exists()}
    assert {each for each in missing if not each[2][0].isupper()} == set()  # MODEL.gin is a name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_anchors_are_headings(page):
    for link, anchor in re.findall(r"\]\(([\w.]*\.md)?#([\w-]+)\)", page.read_text()):
        headings = re.findall(r"^#+ (.+)$", (DOCS / link if link else page).read_text(), re.M)
        anchors = {
            re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings
        }
        assert anchor in anchors, (link, anchor)


def test_type_checkers_know_every_public_name():
    text = Path(magenta_vae.__file__).read_text()
    typed = re.findall(r"^    from [\w.]+ import (\w+) as \1$", text, re.MULTILINE)
    assert {"load", *typed} == set(magenta_vae.__all__)


def test_every_public_name_is_there():
    assert [name for name in magenta_vae.__all__ if not hasattr(magenta_vae, name)] == []
    assert set(magenta_vae.__all__) <= set(dir(magenta_vae))
    with pytest.raises(AttributeError, match="has no loads"):
        magenta_vae.loads  # noqa: B018


PROGRAMS = [
    page for page in PAGES if any(not skipped for skipped, _ in BLOCK.findall(page.read_text()))
]


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda path: path.name)
def test_examples_run(page, tmp_path):
    blocks = [block for skipped, block in BLOCK.findall(page.read_text()) if not skipped]
    for name, number in SONGS.items():
        shutil.copy(ROOT / "testdata" / f"song-{number:04d}.mid", tmp_path / name)
    shutil.copytree(ROOT / "testdata", tmp_path / "testdata")
    program = tmp_path / "example.py"
    program.write_text("\n".join(blocks))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(
        [sys.executable, program.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
