"""The flags that several commands share, and what is read from them."""

import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from magenta_vae import display, files

if TYPE_CHECKING:  # A command loads TensorFlow once its flags are read.
    from magenta_vae.workflows.runs import Run

WHICH_MODEL = "--model=NAME, as `magenta_vae models` lists them, or --run_dir=FOLDER is needed"

flags.disclaim_key_flags()  # The flags below are the command's own: its --help shows them.


class GinFlags(NamedTuple):
    """The flags that give a configuration."""

    gin_file: flags.FlagHolder
    gin_param: flags.FlagHolder
    allow_module: flags.FlagHolder

    def configure(self):
        """Returns the configuration that they give; see `configuration.parse`."""
        from magenta_vae import configuration

        given = self.gin_file.value, self.gin_param.value
        configuration.require_gin_file(self.gin_file.value)
        return configuration.parse(*given, self.allow_module.value)


class RunFlags(NamedTuple):
    """The flags that say whose weights to use."""

    model: flags.FlagHolder
    run_dir: flags.FlagHolder
    checkpoint: flags.FlagHolder
    allow_module: flags.FlagHolder

    def given(self) -> list[str]:
        """Returns those that were given, as they are typed."""
        return given(*self)

    @property
    def place(self) -> flags.FlagHolder:
        """The one of `--model` and `--run_dir` that was given."""
        return self.model if self.model.value else self.run_dir

    def folder_beside(self) -> str:
        """Returns the folder that results of the model may go to: of a name, one of that name."""
        from magenta_vae.workflows import model_places

        place = self.place.value
        return model_places.label(place) if model_places.is_name(place) else place

    def open(self):
        """Returns the run that they name; see `runs.open`."""
        from magenta_vae.workflows import model_places, run_files, runs

        folder = model_places.find(self.model.value) if self.model.value else self.run_dir.value
        if self.run_dir.value and model_places.is_name(folder):
            raise FileNotFoundError(
                f"--run_dir={folder} is no folder of a run. --model={folder} opens the model of "
                "this name."
            )
        run_files.require_config(folder, f"--{self.place.name}={folder}")
        if self.model.value and folder in model_places.shipped():
            display.write(
                f"note: the folder {folder} here is taken, not the model {folder} that comes with "
                f"the package. --model=./{folder} says so, too"
            )
        return runs.open(folder, self.checkpoint.value, self.allow_module.value)


def define_gin_flags() -> GinFlags:
    """Defines --gin_file, --gin_param and --allow_module and returns them."""
    return GinFlags(
        flags.DEFINE_multi_string(
            "gin_file",
            [],
            "Configuration: a path or a name under gin_configs/. May be repeated; later files win.",
        ),
        flags.DEFINE_multi_string(
            "gin_param",
            [],
            "One binding, as in 'music_vae.MusicVAE.free_bits=10'. May be repeated.",
        ),
        define_allow_module(),
    )


def define_run_flags() -> RunFlags:
    """Defines --model, --run_dir and --checkpoint: whose weights to use; and --allow_module."""
    model = flags.DEFINE_string(
        "model",
        None,
        "The model: a name, as `magenta_vae models` lists them, a folder that `publish` wrote, or "
        "an address, as in hf://OWNER/REPOSITORY.",
    )
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "Which weights of the run: latest, best (held-out loss) or a step."
    )
    flags.register_validator(
        "checkpoint",
        lambda value: value in ("latest", "best") or value.isdecimal(),
        message="must be latest, best or a step",
    )
    run_dir = flags.DEFINE_string("run_dir", None, "Instead of --model: the folder of a run.")
    flags.register_multi_flags_validator(
        ["model", "run_dir"],
        lambda given: bool(given["model"]) != bool(given["run_dir"]),
        message=f"{WHICH_MODEL}, one of the two",
    )
    return RunFlags(model, run_dir, checkpoint, define_allow_module())


def define_allow_module() -> flags.FlagHolder:
    """Defines --allow_module and returns it."""
    return flags.DEFINE_multi_string(
        "allow_module",
        [],
        "A module of your own whose parts the configuration of a run may name: its code is run. "
        "May be repeated. Without, a run names parts of this package alone.",
    )


def define_folder_flag(name: str, help_text: str, required: bool = True) -> flags.FlagHolder:
    """Defines a flag that names a folder to write in and returns it.

    That it can be one is known as soon as the flags are read, before the work.
    """
    defined = flags.DEFINE_string(name, None, help_text, required=required)

    def check(folder: str | None) -> bool:
        try:
            files.check_folder_place(folder or os.curdir)
        except OSError as error:
            raise flags.ValidationError(str(error)) from error
        return True

    flags.register_validator(name, check)
    return defined


class _NumberParser(flags.FloatParser):
    """Reads numbers as absl does, but no NaN, which absl takes to be within any bounds."""

    number_name = "finite number"
    syntactic_help = f"a {number_name}"

    def is_outside_bounds(self, value: float) -> bool:
        is_allowed = math.isfinite(value) or value == self.upper_bound  # NaN is equal to none.
        return not is_allowed or super().is_outside_bounds(value)


def define_number_flag(
    name: str,
    default: float | None,
    help_text: str,
    lower_bound: float | None = None,
    upper_bound: float | None = None,
) -> flags.FlagHolder:
    """Defines a flag that is a finite number within bounds, both included, and returns it.

    Where the upper bound is infinity, that is a value too.
    """
    parser = _NumberParser(lower_bound, upper_bound)
    return flags.DEFINE(parser, name, default, help_text, serializer=flags.ArgumentSerializer())


def define_temperature_flag(help_text: str) -> flags.FlagHolder:
    """Defines --temperature and returns it."""
    defined = define_number_flag("temperature", 0.5, help_text)
    flags.register_validator("temperature", lambda value: value > 0, message="must be above 0")
    return defined


def define_output_flags(required: bool = True) -> dict[str, flags.FlagHolder]:
    """Defines what commands that make music take, by the names `outputs.write_music` uses."""
    return {
        "output_dir": define_folder_flag(
            "output_dir",
            "Folder of the MIDI. What an earlier call wrote there under the same name is replaced.",
            required,
        ),
        "plot": flags.DEFINE_bool("plot", False, "Also write pictures (.png)."),
        **define_sound_flags(),
    }


def define_sound_flags() -> dict[str, flags.FlagHolder]:
    """Defines how music is played, and --audio, and returns the flags by their names."""
    defined = {
        "audio": flags.DEFINE_bool("audio", False, "Also write sound (.wav)."),
        "soundfont": flags.DEFINE_string("soundfont", None, "A SoundFont (.sf2) that plays it."),
        "qpm": define_number_flag(
            "qpm",
            None,
            "Tempo in quarters a minute; by default that of the music read, of samples 120.",
            lower_bound=4,
            upper_bound=1000,
        ),
        "accents": flags.DEFINE_bool(
            "accents", False, "Strong beats are louder; without, all notes are as loud."
        ),
    }
    flags.register_multi_flags_validator(
        ["audio", "soundfont"],
        lambda given: given["audio"] or not given["soundfont"],
        message="--soundfont is what plays --audio: give both",
    )
    return defined


def define_reading_flags() -> dict[str, flags.FlagHolder]:
    """Defines what commands that read music take, by the names of `TrainedModel`."""
    return {
        "polyphony": flags.DEFINE_enum(
            "polyphony",
            "refuse",
            ["refuse", "highest"],
            "What to do with several notes at once in a melody: take the highest, or refuse.",
        ),
        "pad": flags.DEFINE_bool(
            "pad", False, "Read missing bars and tracks as rests instead of refusing them."
        ),
    }


def define_input_flag(use: str = "", required: bool = True) -> flags.FlagHolder:
    """Defines --input, music to read, and returns it."""
    return flags.DEFINE_multi_string(
        "input",
        None,
        f"{use}A file of music (MIDI, MusicXML, ABC), a folder, a glob or an archive. "
        "May be repeated.",
        required=required,
    )


def define_excerpt_flags(
    of_model: str | None = None, num_windows: bool = True
) -> dict[str, flags.FlagHolder]:
    """Defines what part of a piece is read, by the names of the arguments of `Excerpt`.

    Args:
        of_model: the help of a --track that has another use as well.
        num_windows: whether --num_windows is defined, where it means this alone.
    """
    defined = {
        "track": flags.DEFINE_multi_string(
            "track",
            None,
            (of_model or "")
            + "The track of the file to read, by its number (from 1) or name; for one of a model's "
            "several, lead=3. May be repeated. The first that fits by default.",
        ),
        "program": flags.DEFINE_multi_string(
            "program",
            None,
            "The General MIDI program (0 to 127) of the track to read, or bass=33. Repeatable.",
        ),
        "start_bar": flags.DEFINE_integer(
            "start_bar", 1, "The bar of the file to begin at, from 1.", lower_bound=1
        ),
    }
    if num_windows:
        defined["num_windows"] = flags.DEFINE_integer(
            "num_windows", None, "How many windows of a file to read at most.", lower_bound=1
        )
    return defined


def define_continuous_flag(file: str) -> flags.FlagHolder:
    """Defines --continuous of a command that writes windows one by one and returns it."""
    return flags.DEFINE_bool("continuous", False, f"Also one after another, as one file: {file}.")


def define_sampling_flags() -> tuple[flags.FlagHolder, flags.FlagHolder]:
    """Defines --temperature and --seed and returns them."""
    return (
        define_temperature_flag(
            "Of the softmax: lower is safer, 1 is the model's own distribution."
        ),
        define_seed_flag("The same seed gives the same files."),
    )


def define_prior_flag() -> flags.FlagHolder:
    """Defines --prior and returns it."""
    return flags.DEFINE_enum(
        "prior",
        "standard",
        ["standard", "data"],
        "Where z is drawn: from N(0, I), as in the paper, or from Gaussians of the training "
        "windows.",
    )


def define_split_flag(what: str) -> flags.FlagHolder:
    """Defines --split, which says what is done to a split, and returns it."""
    return flags.DEFINE_enum("split", "eval", ["train", "eval", "test"], what)


def define_seed_flag(help_text: str) -> flags.FlagHolder:
    """Defines --seed and returns it."""
    return flags.DEFINE_integer("seed", 0, help_text, lower_bound=0, upper_bound=2**63 - 1)


def define_skip_corrupt_flag() -> flags.FlagHolder:
    """Defines --skip_corrupt and returns it."""
    return flags.DEFINE_bool("skip_corrupt", False, "Go on without damaged records, counting them.")


def values(holders: Mapping[str, flags.FlagHolder]) -> dict:
    """Returns the flags' values, once they are parsed."""
    return {name: holder.value for name, holder in holders.items()}


def given(*holders: flags.FlagHolder) -> list[str]:
    """Returns those flags that were given, as they are typed, to name them in another command."""
    typed = []
    for holder in holders:
        flag = flags.FLAGS[holder.name]
        if flag.present and flag.boolean:
            typed.append(f"--{'' if flag.value else 'no'}{flag.name}")
        elif flag.present:
            each = flag.value if isinstance(flag.value, list) else [flag.value]
            typed += [f"--{flag.name}={value}" for value in each]
    return typed


def describe_call(step: int, *holders: flags.FlagHolder) -> dict:
    """Returns how music was made, as JSON values: the same call makes the same music.

    Args:
        step: of the weights.
        holders: the flags that say what is made.
    """
    from importlib import metadata

    return {
        "command": os.path.basename(sys.argv[0]),
        "version": metadata.version("magenta_vae"),
        "step": step,
        **{holder.name: holder.value for holder in holders},
    }


def writing_options(
    run: "Run", output: Mapping[str, flags.FlagHolder], *holders: flags.FlagHolder
) -> dict:
    """Returns what the functions of `workflows.music` take beside what is made.

    Args:
        run: the run whose music is written.
        output: as `define_output_flags` returns them.
        holders: the flags that say what is made.
    """
    # What is as it is by default was not said by earlier versions, and need not be.
    playing = [output[name] for name in ("qpm", "accents") if output[name].value]
    made_by = describe_call(run.step, *holders, *playing)
    return {**values(output), "report": display.write, "made_by": made_by}
