"""The house keeps its rooms apart: each module imports only what it may."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "magenta_vae"
NAME = PACKAGE.name
GROUND_FLOOR = {
    "contracts",
    "display",
    "file_errors",
    "files",
    "private_apis",
    "threads",
}  # Modules beside the folders.
MAY_IMPORT = {
    "contracts": set(),
    "display": set(),
    "file_errors": set(),
    "files": set(),
    "private_apis": set(),
    "threads": set(),
    "music": {"contracts", "files"},
    "model": {"contracts", "private_apis", "threads"},
    "magenta": {"contracts", "files", "music", "model"},
    "data": {"contracts", "display", "files", "music", "magenta"},
    "training": {
        *("contracts", "display", "file_errors", "files", "private_apis", "threads", "music"),
    },
    "inference": {"contracts", "display", "files", "music", "model"},
    "serving": {
        *("contracts", "display", "file_errors", "files", "private_apis", "music", "data", "model"),
        *("magenta", "inference"),
    },
    "configuration": set(),
    "workflows": {
        *(
            "",
            "contracts",
            "display",
            "files",
            "threads",
            "configuration",
            "music",
            "data",
            "model",
        ),
        *("magenta", "training", "inference", "serving"),
    },
}
TENSORFLOW = {"tensorflow", "tensorflow_probability", "keras", "tf_keras"}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name):
    """Returns all that a module imports, anywhere in it, modules of ours by their full names."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively: write the full name."
            each = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in MODULES else node.module for full in each}
    return found


def ours(name):
    return {found for found in imported(name) if found.split(".")[0] == NAME}


def room(name):
    """Returns the folder of a module of ours or its place on the ground floor, '' for the top."""
    parts = name.split(".")
    is_room = len(parts) > 1 and ((PACKAGE / parts[1]).is_dir() or parts[1] in GROUND_FLOOR)
    return parts[1] if is_room else ""


def in_folders():
    return [name for name in MODULES if room(name)]


def test_every_folder_has_its_rule():
    assert {room(name) for name in in_folders()} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", in_folders())
def test_a_folder_imports_only_from_those_it_may(name):
    allowed = MAY_IMPORT[room(name)] | {room(name)}
    wrong = {found for found in ours(name) if room(found) not in allowed}
    assert not wrong, f"{name} may import from {sorted(allowed)}. It imports {sorted(wrong)}."


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_modules_of_a_folder_stand_above_one_another(folder):
    graph = {
        name: {found for found in ours(name) if room(found) == folder and found != name}
        for name in in_folders()
        if room(name) == folder
    }
    list(TopologicalSorter(graph).static_order())  # Raises CycleError with the cycle.


def test_the_ground_stands_on_nothing():
    assert not {found for name in GROUND_FLOOR for found in ours(f"{NAME}.{name}")}


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) == "music"])
def test_music_knows_no_tensorflow(name):
    assert not {found.split(".")[0] for found in imported(name)} & TENSORFLOW


def test_only_the_configuration_knows_gin():
    knowing = {
        name
        for name in MODULES
        if {found.split(".")[0] for found in imported(name)} & {"gin", "gin_config"}
    }
    assert {room(name) for name in knowing} == {"configuration"}


def test_only_the_server_of_the_page_knows_starlette():
    """Exports of the page need neither it nor uvicorn, and a client of served models none."""
    knowing = {
        name
        for name in MODULES
        if {found.split(".")[0] for found in imported(name)} & {"starlette", "uvicorn"}
    }
    server = {f"{NAME}.serving.{name}" for name in ("browser_guard", "explorer", "page_requests")}
    command = f"{NAME}.workflows.explorer_server"
    assert knowing == {*server, command}
    assert {name for name in MODULES if ours(name) & server} <= {*server, command}


def test_the_scripts_do_not_know_gin():
    for path in (PACKAGE.parent / "scripts").iterdir():
        if path.is_file():
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in getattr(node, "names", []) if isinstance(a, ast.alias)]
                assert "gin" not in [*names, getattr(node, "module", "")], path


@pytest.mark.parametrize(
    "module", ["music.windows", "data.builder", "inference.attributes", "serving.client"]
)
def test_no_tensorflow_is_loaded(module):
    """By a worker that cuts windows, or a client by REST: they start in a second and are small."""
    program = f"import sys, {NAME}.{module}; print(sorted({TENSORFLOW} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_making_music_loads_no_probability_package():
    """A sixth of the time until the first music, for what only training needs."""
    program = (
        f"import sys, {NAME}.inference.generation; print('tensorflow_probability' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr
