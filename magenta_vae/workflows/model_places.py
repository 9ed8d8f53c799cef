"""Where models lie: in a folder, with this package under a name, or at an address.

An address is `hf://OWNER/REPOSITORY[/FOLDER][@REVISION]`, of the Hugging Face Hub, or the
`https://` or `http://` address of a folder. What is fetched is a published model (`model_files`):
its files are kept, and compared with the SHA-256 that its card says, like those of any.
"""

import contextlib
import difflib
import glob
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from magenta_vae import display, files
from magenta_vae.configuration import CONFIG_FILE, bundled
from magenta_vae.workflows import columns, model_files

FOLDER = "models"  # within the package
HUB = "hf://"
WEB = ("https://", "http://")
SECONDS = 60.0  # of silence, after which a server is not waited for
BYTES_PER_READ = 2**20
MAX_CARD_BYTES = 2**20


def shipped() -> dict[str, str]:
    """Returns the folders of the models that come with this package, by their names."""
    return {
        folder.name: str(folder)
        for folder in sorted(bundled(FOLDER).glob("*"))
        if model_files.is_published(str(folder))
    }


def find(model: str | os.PathLike) -> str:
    """Returns the folder of a model.

    Args:
        model: a folder, of a run or of a published model; the name of one that comes with this
            package, unless a run lies in a folder of that name; or an address.

    Raises:
        FileNotFoundError: where there is no such model, with those there are.
        OSError, ValueError: where it cannot be fetched.
    """
    if not isinstance(model, str | os.PathLike):
        raise ValueError(f"A model is a name, a folder or an address. Received: {model!r}.")
    model = os.fspath(model)
    if "://" in model:
        return _fetch(model)
    names = shipped()
    if is_name(model):
        return names[model]
    if os.path.exists(model):
        return model
    near = difflib.get_close_matches(model, names, n=1)
    raise FileNotFoundError(
        f"There is no model {model}: it is no folder, and those that come with this package are "
        f"{', '.join(names) or 'none'}.{f' The nearest is {near[0]}.' if near else ''}"
    )


def format_shipped() -> str:
    """Returns a table of the models that come with this package.

    `one token` is what `recon` would be of a model that always says the most frequent token.
    """
    rows = [["name", "MB", "license", "recon", "one token", "notes F1", "data"]]
    for name, folder in shipped().items():
        try:
            card = model_files.read_card(folder)
        except (OSError, ValueError) as error:
            rows.append([name, *"-----", f"cannot be opened: {error}"])
            continue
        tracks = card["figures"]["tracks"].values()
        recon = [f"{track['reconstruction_accuracy']:.3f}" for track in tracks]
        alone = [_format_share(track.get("most_frequent_token_share")) for track in tracks]
        notes = [_format_share(_score(track)) for track in tracks]
        size = f"{model_files.size_of(folder) / 1e6:.1f}"
        cells = [name, size, card["license"], *map("/".join, (recon, alone, notes))]
        rows.append([*cells, card["description"]])
    return columns.align(rows)


def is_name(model: str) -> bool:
    """Says whether a model is given by a name or an address, and not by its folder."""
    is_run = os.path.isfile(os.path.join(model, CONFIG_FILE))
    return "://" in model or (model in shipped() and not is_run)


def label(model: str) -> str:
    """Returns what to call a model: the last part of its name, folder or address."""
    place = model.partition("@")[0] if model.startswith(HUB) else model
    return os.path.basename(os.path.normpath(place))


def _score(track: Mapping) -> float | None:
    return track.get("notes", {}).get("reconstruction", {}).get("f1")


def _format_share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _fetch(address: str) -> str:
    """Returns the folder in which a model of an address is kept, fetched where it is not yet."""
    if address.startswith(HUB):
        folder = _fetch_from_hub(address)
    elif address.startswith(WEB) and urllib.parse.urlsplit(address).netloc:
        folder = _fetch_from_web(address.rstrip("/"))
    else:
        raise ValueError(
            f"The address of a model is {HUB}OWNER/REPOSITORY or https://HOST/FOLDER. "
            f"Received: {address}."
        )
    return folder


def _fetch_from_hub(address: str) -> str:
    place, _, revision = address.removeprefix(HUB).partition("@")
    owner, _, rest = place.strip("/").partition("/")
    repository, _, inside = rest.partition("/")
    if not (owner and repository):
        raise ValueError(
            f"An address of the hub is {HUB}OWNER/REPOSITORY[/FOLDER][@REVISION]. "
            f"Received: {address}."
        )
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{address} wants the package huggingface_hub: pip install 'magenta_vae[hub]'."
        ) from error
    names = (model_files.CARD_FILE, *model_files.REQUIRED, *model_files.OPTIONAL)
    try:
        root = huggingface_hub.snapshot_download(
            f"{owner}/{repository}",
            revision=revision or None,
            allow_patterns=["/".join(filter(None, (inside, name))) for name in names],
        )
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        raise OSError(f"{address} cannot be fetched: {error}") from error
    folder = os.path.join(root, *inside.split("/")) if inside else root
    if not model_files.is_published(folder):
        raise FileNotFoundError(
            f"{address} holds no {model_files.CARD_FILE}: it is no model that was published with "
            "`magenta_vae publish`."
        )
    return folder


def _fetch_from_web(address: str) -> str:
    """Returns where the files of an address are kept; those of another card are another model.

    Where no server answers, what was fetched last is the model, with a line that says so.
    """
    name = f"{label(address)}-{_shorten(address.encode())}"
    try:
        card = _read(f"{address}/{model_files.CARD_FILE}", MAX_CARD_BYTES)
    except OSError as error:
        fetched = sorted(_cache().glob(f"{glob.escape(name)}-*"), key=os.path.getmtime)
        if isinstance(error.__cause__, urllib.error.HTTPError) or not fetched:
            raise
        model_files.check(str(fetched[-1]))
        display.write(f"{error} The model is the one that was fetched before.", sys.stderr)
        return str(fetched[-1])
    kept = _cache() / f"{name}-{_shorten(card)}"
    with contextlib.suppress(OSError, ValueError):  # What was kept is not there, or damaged.
        model_files.check(str(kept))
        os.utime(kept)  # The last one that the address held.
        return str(kept)
    with files.staging(kept.parent) as beside:
        (Path(beside) / model_files.CARD_FILE).write_bytes(card)
        try:
            expected = model_files.read_card(beside)["files"]
            for name, digest in display.track(
                expected.items(), f"fetching {address}", len(expected)
            ):
                path = Path(beside) / name
                _download(f"{address}/{name}", path)
                model_files.check_file(str(path), digest)
        except ValueError as error:  # Of a folder that will be gone.
            raise ValueError(str(error).replace(beside, address)) from error
        shutil.rmtree(kept, ignore_errors=True)
        try:
            os.replace(beside, kept)
        except OSError:  # Another process has fetched it meanwhile.
            model_files.check(str(kept))
    return str(kept)


def _shorten(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _cache() -> Path:
    """Returns the folder of what is fetched: of `XDG_CACHE_HOME`, else `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "magenta_vae" / FOLDER


def _read(url: str, most: int) -> bytes:
    with _fetching(url) as answer:
        read = answer.read(most + 1)
    if len(read) > most:
        raise ValueError(f"{url} has more than {most:,} bytes: it is no card of a model.")
    return read


def _download(url: str, path: Path) -> None:
    with _fetching(url) as answer, open(path, "wb") as file:
        size = 0
        while read := answer.read(BYTES_PER_READ):
            size += len(read)
            if size > model_files.MAX_BYTES:
                raise ValueError(f"{url} has more than {model_files.MAX_BYTES:,} bytes.")
            file.write(read)


@contextlib.contextmanager
def _fetching(url: str) -> Iterator[IO[bytes]]:
    """Opens a URL to read. What goes wrong within is an `OSError` that names the URL."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            yield answer
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise OSError(f"{url} cannot be fetched: {str(error) or repr(error)}.") from error
