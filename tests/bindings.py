"""What a configuration binds, read from its text."""

import ast
import re


def query(configured, name):
    """Returns the value that a configuration's text gives a name."""
    (text,) = re.findall(rf"^{re.escape(name)} = (.+)$", configured.text, re.MULTILINE)
    return ast.literal_eval(text)
