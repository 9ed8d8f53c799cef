#!/usr/bin/env python3
"""Measures a run of a study on the held-out windows of another data set, as `table1` measures.

benchmarks/measure.py --run=study/runs/RUN --data_dir=DATA_SET --output_dir=FOLDER

The folder has `config.gin`, `result.json` and `songs.json` of the run, with the new figures.
"""

import json
import shutil
from pathlib import Path

from absl import flags

from magenta_vae import command_flags, commands, configuration, files

RUN = flags.DEFINE_string("run", None, "A run that table1 made.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "The data set.", required=True)
NUM_WINDOWS = flags.DEFINE_integer(
    "num_windows", None, "How many of its held-out windows; all by default.", lower_bound=1
)
OUTPUT_DIR = command_flags.define_folder_flag("output_dir", "Folder of the figures.")


def main(_):
    from magenta_vae.workflows import runs, study

    kept, folder = Path(RUN.value), Path(OUTPUT_DIR.value)
    if not (kept / study.RESULT_FILE).exists():
        raise FileNotFoundError(
            f"--run must be a run that table1 made. There is no {kept / study.RESULT_FILE}."
        )
    result = json.loads((kept / study.RESULT_FILE).read_text())
    run = runs.open(RUN.value)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept / configuration.CONFIG_FILE, folder / configuration.CONFIG_FILE)
    result["figures"] = study.measure(run, DATA_DIR.value, NUM_WINDOWS.value, OUTPUT_DIR.value)
    files.write_text(folder / study.RESULT_FILE, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    commands.run(main)
