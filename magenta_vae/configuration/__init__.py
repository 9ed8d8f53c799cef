"""Where the parts meet: gin files -> a configuration. Nothing outside this folder reads gin."""

from magenta_vae.configuration.definition import Experiment
from magenta_vae.configuration.parsing import (
    Configuration,
    parse,
    parse_run,
    require_gin_file,
)
from magenta_vae.configuration.places import bundled, command
from magenta_vae.configuration.trust import CONFIG_FILE, RUN_FILE, UntrustedConfiguration

__all__ = [
    "CONFIG_FILE",
    "RUN_FILE",
    "Configuration",
    "Experiment",
    "UntrustedConfiguration",
    "bundled",
    "command",
    "parse",
    "parse_run",
    "require_gin_file",
]
