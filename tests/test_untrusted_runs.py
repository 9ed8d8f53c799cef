"""Runs that were made to harm: opening one runs nothing of it, and says which line was refused."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import magenta_vae
from magenta_vae import configuration
from magenta_vae.configuration import UntrustedConfiguration
from magenta_vae.workflows import magenta, run_files, runs, training

ROOT = Path(__file__).parent.parent
FILES = ["mel_2bar.gin", "scale/tiny.gin"]
DYNAMIC = "from __gin__ import dynamic_registration\n"
SEED = "configuration.Experiment.seed = 0"

# What each attack puts above the configuration, below it, and in the place of its seed. {mark} is
# the command that leaves a mark; the line that must be named begins with what stands last.
ATTACKS = {
    "a module of Python": ("import os\nos.system.command = '{mark}'", "@os.system()", "import os"),
    "a name within": (
        "from os import path\npath.os.system.command = '{mark}'",
        "@path.os.system()",
        "from os import path",
    ),
    "an alias": (
        "import subprocess as s\ns.check_call.popenargs = ['sh']",
        "@s.run()",
        "import subprocess",
    ),
    "a module not loaded": ("import antigravity", "0", "import antigravity"),
    "tabs": ("import\tos\nos.system.command = '{mark}'", "@os.system()", "import\tos"),
    "a module that writes": (
        "import magenta_vae.files as f\nf.write_text.path = '{file}'\nf.write_text.text = 'x'",
        "@f.write_text()",
        "import magenta_vae.files",
    ),
    "the commands": ("import magenta_vae.__main__", "0", "import magenta_vae.__main__"),
    "an include of anything": ("include '{include}'", "0", "include"),
    "an include of a bundled file": ("include 'mel_2bar.gin'", "0", "include"),
}
# What follows the imports of the configuration, which parts of the package are reached by.
WITHIN = {
    "through a module of ours": ("builder.os.system.command = '{mark}'", "@builder.os.system()"),
    "through a class of ours": ("", "@music_vae.MusicVAE.__init__()"),
    "a function of ours": ("builder.build.files = []", "@builder.build()"),
    "the parser itself": ("", "@configuration.parse()"),
    "the training itself": ("", "@loop.train()"),
    "in a scope": ("", "@a/b/builder.os.system()"),
    "in a list": ("", "[1, [2, {{'a': (@builder.os.system(), )}}]]"),
    "as a key": ("", "{{@builder.os.system(): 1}}"),
    "not evaluated": ("", "@builder.os.system"),
    "in a macro": ("harm = @builder.os.system()", "%harm"),
    "in a macro of a macro": ("harm = [%more]\nmore = @builder.os.system()", "%harm"),
    "over several lines": ("harm = [\n    1,\n    @builder.os.system(),\n]", "%harm"),
    "in a block": ("builder.os.system:\n  command = '{mark}'", "0"),
    "a name bound anew": ("import os as builder", "@builder.system()"),
    "of gin": ("", "@gin.singleton()"),
    "of no import": ("", "@system()"),
}


@pytest.fixture(scope="module")
def run_dir(data_dirs, tmp_path_factory):
    """A run of a tiny model."""
    folder = str(tmp_path_factory.mktemp("runs") / "tiny")
    training.train(configuration.parse(FILES), folder, data_dirs["mel_2bar"], max_steps=2)
    return folder


@pytest.fixture
def harm(run_dir, tmp_path):
    """Returns a function that makes a copy of the run with another text, and checks its mark."""
    mark = tmp_path / "mark"
    (tmp_path / "other.gin").write_text("import antigravity\n")

    def make(above="", below="", seed="0"):
        folder = tmp_path / "harmful"
        shutil.copytree(run_dir, folder, dirs_exist_ok=True)
        text = Path(run_dir, "config.gin").read_text()
        assert SEED in text
        names = {"mark": f"touch {mark}", "file": mark, "include": tmp_path / "other.gin"}
        above, below, seed = (part.format(**names) for part in (above, below, seed))
        text = text.replace(SEED, f"{below}\n{SEED[:-1]}{seed}" if below else SEED[:-1] + seed)
        # Where gin would look the names up: below the line that allows it to.
        assert text.startswith(DYNAMIC)
        (folder / "config.gin").write_text(text.replace(DYNAMIC, DYNAMIC + above + "\n", 1))
        return str(folder)

    yield make
    assert not mark.exists()
    assert "antigravity" not in sys.modules


def line_of(folder, beginning):
    lines = Path(folder, "config.gin").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.startswith(beginning))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_statement_that_brings_code_is_refused_with_its_line(harm, name):
    above, seed, refused = ATTACKS[name]
    folder = harm(above, seed=seed)
    with pytest.raises(UntrustedConfiguration) as caught:
        magenta_vae.load(folder)
    place = f"{folder}/config.gin, line {line_of(folder, refused)}: "
    assert str(caught.value).startswith(place)
    assert str(caught.value).endswith("Nothing was run.")


@pytest.mark.parametrize("name", WITHIN)
def test_a_name_that_leaves_the_parts_is_refused_with_its_line(harm, name):
    below, seed = WITHIN[name]
    folder = harm(below=below, seed=seed)
    with pytest.raises(UntrustedConfiguration, match=r"config.gin, line \d+: .* is refused") as e:
        runs.open(folder)
    line = int(str(e.value).split("line ")[1].split(":")[0])
    written = Path(folder, "config.gin").read_text().splitlines()[line - 1]
    assert "system" in written or "harm" in written or written.strip() in (below + SEED[:-1] + seed)


def test_a_text_that_holds_code_is_a_text(harm):
    code = "\"__import__('os').system('{mark}')\""
    folder = harm(below="configuration.Experiment.midi = " + code)
    assert "__import__" in runs.open(folder).experiment.midi


def test_no_name_is_looked_up_among_what_other_programs_registered(harm):
    import gin

    @gin.register(module="elsewhere")
    def steal():
        raise AssertionError

    folder = harm(seed="@elsewhere.steal()")
    path = Path(folder, "config.gin")
    path.write_text(path.read_text().replace("from __gin__ import dynamic_registration\n", ""))
    with pytest.raises(UntrustedConfiguration):
        runs.open(folder)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("sample", ["--output_dir=out"]),
        ("evaluate", []),
        ("export", ["--output_dir=out"]),
        ("figures", ["--output_dir=out"]),
        ("interpolate", ["--output_dir=out", "--start=a.mid", "--end=b.mid"]),
        ("attributes", ["--output=out.json"]),
    ],
)
def test_every_command_refuses_it_in_a_line(harm, tmp_path, command, flags):
    above, seed, refused = ATTACKS["a module of Python"]
    folder = harm(above, seed=seed)
    error = run(tmp_path, command, f"--run_dir={folder}", *flags)
    assert f"error: {folder}/config.gin, line 2: {refused} is refused" in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("out*"))


def run(folder, name, *flags):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *flags],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_training_takes_weights_of_it_and_nothing_else(harm, data_dirs, tmp_path):
    above, seed, _ = ATTACKS["a module of Python"]
    folder, own = harm(above, seed=seed), str(tmp_path / "mine")
    lines = []
    training.train(
        configuration.parse(FILES), own, data_dirs["mel_2bar"], 2, report=lines.append,
        origin=run_files.Origin(folder),
    )  # fmt: skip
    assert any("18 of 18 weights are those of" in line for line in lines)
    with pytest.raises(UntrustedConfiguration, match="line 2: import os"):
        configuration.parse([f"{folder}/config.gin"])
    mine = tmp_path / "mine.gin"
    mine.write_text(f"include '{folder}/config.gin'\n")
    with pytest.raises(UntrustedConfiguration, match="line 2: import os"):
        configuration.parse([str(mine)])
    with pytest.raises(UntrustedConfiguration, match="line 2: import os"):
        configuration.parse(FILES, [f"include '{folder}/config.gin'"])
    link = tmp_path / "link.gin"
    link.symlink_to(f"{folder}/config.gin")
    with pytest.raises(UntrustedConfiguration, match="line 2: import os"):
        configuration.parse([str(link)])


def test_a_checkpoint_that_is_imported_brings_no_configuration(harm, tmp_path):
    above, seed, _ = ATTACKS["a module of Python"]
    folder = harm(above, seed=seed)
    with pytest.raises(ValueError, match="must hold the .index of one checkpoint|configuration"):
        magenta.import_checkpoint(folder, "cat-mel_2bar_big", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


PARTS = '''
"""Parts of one's own."""

import os

import tensorflow as tf

from magenta_vae.model.schedules import Schedule


class Halved(Schedule):
    """Half of a number."""

    def __init__(self, number):
        self._number = number

    def __call__(self, step):
        return tf.constant(self._number / 2)
'''
WITH_PARTS = """
include 'mel_2bar.gin'
include 'scale/tiny.gin'

from __gin__ import dynamic_registration

import {name}
from magenta_vae.model import music_vae

music_vae.MusicVAE.beta = @{name}.Halved()
{name}.Halved.number = 0.25
"""


@pytest.fixture
def own_parts(tmp_path, monkeypatch, data_dirs):
    """A run with a part of one's own, in a module that is found; returns both their names."""
    name = f"parts_of_{os.getpid()}"
    (tmp_path / f"{name}.py").write_text(PARTS)
    (tmp_path / "mine.gin").write_text(textwrap.dedent(WITH_PARTS.format(name=name)))
    monkeypatch.syspath_prepend(str(tmp_path))
    configured = configuration.parse([str(tmp_path / "mine.gin")])
    folder = str(tmp_path / "run")
    training.train(configured, folder, data_dirs["mel_2bar"], max_steps=2)
    yield folder, name
    sys.modules.pop(name, None)


def test_a_run_with_parts_of_ones_own_is_opened_where_they_are_allowed(own_parts, tmp_path):
    folder, name = own_parts
    assert runs.open(folder, modules=[name]).record["modules"] == [name]
    sys.modules.pop(name)
    with pytest.raises(UntrustedConfiguration, match=f"import {name}.*--allow_module={name}"):
        runs.open(folder)
    assert name not in sys.modules
    model = magenta_vae.load(folder, modules=[name])
    assert float(model._model._beta(0)) == 0.125
    error = run(tmp_path, "sample", f"--run_dir={folder}", "--output_dir=out")
    assert f"allow it by --allow_module={name}" in error
    # The command finds the module in the working folder.
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "sample", f"--run_dir={folder}", "--output_dir=out",
         f"--allow_module={name}", "--num_samples=1"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", ["@{name}.os.system()", "@{name}.os.getpid()", "@{name}.missing"])
def test_an_allowed_module_does_not_allow_what_it_imports(own_parts, seed):
    folder, name = own_parts
    path = Path(folder, "config.gin")
    path.write_text(path.read_text().replace(SEED, SEED[:-1] + seed.format(name=name)))
    with pytest.raises(UntrustedConfiguration, match="no part that"):
        runs.open(folder, modules=[name])


@pytest.mark.parametrize("module", ["os", "subprocess", "os.path", "gin", "magenta_vae.workflows"])
def test_no_module_of_python_can_be_allowed(run_dir, module):
    with pytest.raises(ValueError, match=f"Received: --allow_module={module}"):
        runs.open(run_dir, modules=[module])


@pytest.mark.parametrize("modules", [[3], "parts", None, 3])
def test_modules_are_a_list_of_names(run_dir, modules):
    with pytest.raises(ValueError, match="modules must be a list of names. Received: "):
        magenta_vae.load(run_dir, modules=modules)


def test_the_parts_are_those_that_the_package_has():
    import importlib

    from magenta_vae.configuration.trust import CONFIGURABLES, ROOTS

    for module, names in {**CONFIGURABLES, **ROOTS}.items():
        for name in names:
            assert callable(getattr(importlib.import_module(f"magenta_vae.{module}"), name))


INCLUDED = ("base.gin", "flat.gin", "hierdec.gin", "shared.gin", "mel.gin", "common.gin")
BUNDLED = [path for path in (ROOT / "gin_configs").rglob("*.gin") if path.name not in INCLUDED]


@pytest.mark.parametrize("path", sorted(BUNDLED), ids=lambda path: path.name)
def test_the_bundled_configurations_name_parts_alone(path, tmp_path):
    if path.parent.name in ("variants", "scale"):
        files = ["hierdec_trio_16bar.gin", str(path)]
    elif path.parent.name == "few_visits":
        files = [path.name, str(path)]
    else:
        files = [str(path)]
    saved = tmp_path / "config.gin"
    saved.write_text(configuration.parse(files).text)
    assert configuration.parse_run(str(saved)).text == saved.read_text()
