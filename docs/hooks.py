"""Pages that are made of other files when the site is built: the gin files, the changelog."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "": "The paper's models and the demos",
    "scale": "Smaller models, laid over any of them",
    "scale/few_visits": "For more music than a small machine visits twice, a file for each model",
    "variants": "What the paper compares, and what it leaves open",
    "magenta": "Models that Magenta released",
}
INTRODUCTION = """# Configuration

Every number of an experiment stands in a gin file, with the paper's section beside it.
`--gin_file` takes one or several, later ones winning;
`--gin_param='music_vae.MusicVAE.free_bits=10'` changes a value. These are
the files that come with the package, as they are.
"""


def on_files(files, config):
    """Adds the pages to the site."""
    pages = {"configuration.md": _configuration(), "changelog.md": _changelog()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def _configuration() -> str:
    parts = [INTRODUCTION]
    for folder, title in FOLDERS.items():
        parts.append(f"\n## {title}\n")
        for path in sorted((ROOT / "gin_configs" / folder).glob("*.gin")):
            name = path.relative_to(ROOT / "gin_configs")
            parts.append(f"\n### {name}\n\n```python\n{path.read_text().strip()}\n```\n")
    return "".join(parts)


def _changelog() -> str:
    """Returns the changelog with links as they are from the site."""
    return re.sub(r"\]\(docs/", "](", (ROOT / "CHANGELOG.md").read_text())
