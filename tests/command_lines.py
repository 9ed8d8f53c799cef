"""Commands one after another in one process, which imports TensorFlow once for all of them.

python command_lines.py LINES: a JSON list of lists, each the name of a command and its flags.
"""

import json
import sys

from absl import flags

from magenta_vae.__main__ import main


def run(name, *arguments):
    """Runs a command as `magenta_vae` does; ends the process where it fails."""
    sys.argv = ["magenta_vae", name, *arguments]
    print("$", *sys.argv, flush=True)
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    # The next command defines flags of the same names.
    for flag in list(flags.FLAGS.flags_by_module_dict()[sys.argv[0]]):
        delattr(flags.FLAGS, flag.name)


if __name__ == "__main__":  # Not in a worker, which imports this file too.
    for line in json.loads(sys.argv[1]):
        run(*line)
