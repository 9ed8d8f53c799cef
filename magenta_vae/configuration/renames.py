"""Modules that have other names now, for the gin files and the runs that were written before."""

import re

RENAMED = {
    "magenta_vae.model.magenta_encoders": "magenta_vae.magenta.encoder",
    "magenta_vae.music.magenta_tokens": "magenta_vae.magenta.vocabulary",
}
_FROM = re.compile(
    r"^from[ \t]+([\w.]+)[ \t]+import[ \t]+(\w+)(?:[ \t]+as[ \t]+(\w+))?", re.MULTILINE
)


def with_present_names(text: str) -> str:
    """Returns a gin text that imports each module by the name that it has now.

    What the text calls the module stays, so that its bindings do too.
    """
    for old, new in RENAMED.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return _FROM.sub(_rename, text)


def _rename(statement: re.Match) -> str:
    package, name, alias = statement.groups()
    new = RENAMED.get(f"{package}.{name}")
    if new is None:
        return statement[0]
    package, _, module = new.rpartition(".")
    return f"from {package} import {module} as {alias or name}"
