"""Where all folders meet: gin files -> a configuration. Nothing outside this folder reads gin."""

from magenta_vae.configuration.definition import Experiment
from magenta_vae.configuration.parsing import (
    Configuration,
    own_imports,
    parse,
    parse_run,
    require_gin_file,
)
from magenta_vae.configuration.places import (
    MAGENTA_FOLDER,
    bundled,
    command,
    magenta_configurations,
)
from magenta_vae.configuration.statements import read_text
from magenta_vae.configuration.trust import CONFIG_FILE, RUN_FILE, UntrustedConfiguration

__all__ = [
    "CONFIG_FILE",
    "MAGENTA_FOLDER",
    "RUN_FILE",
    "Configuration",
    "Experiment",
    "UntrustedConfiguration",
    "bundled",
    "command",
    "magenta_configurations",
    "own_imports",
    "parse",
    "parse_run",
    "read_text",
    "require_gin_file",
]
