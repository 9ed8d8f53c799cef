"""Prints the lowest versions that setup.py allows, as constraints for pip."""

import re
import sys
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.py"
BOUND = re.compile(r'"([\w.-]+)(?:\[\w+\])?>=([\w.]+)')

bounds = sorted(set(BOUND.findall(SETUP.read_text())))
# Versions of stubs end in a date.
lowest = [
    (name, f"{version}.*" if name.startswith("types-") else version) for name, version in bounds
]
sys.stdout.writelines(f"{name}=={version}\n" for name, version in lowest)
