"""Prints the lowest versions that setup.py allows, as constraints for pip: python lower_bounds.py"""

import re
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.py"
BOUND = re.compile(r'"([\w.-]+)(?:\[\w+\])?>=([\w.]+)')

for name, version in sorted(set(BOUND.findall(SETUP.read_text()))):
    print(f"{name}=={version}")
