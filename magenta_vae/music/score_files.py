"""Bytes of MusicXML, compressed (.mxl) or not -> the tree of a score."""

import codecs
import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile

from magenta_vae.music.songs import MAX_FILE_BYTES, SongError

CONTAINER = "META-INF/container.xml"
SCORES = ("score-partwise", "score-timewise")
# UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
# Possessive: of many comments no other way to part them is tried.
_HTML = re.compile(
    r"[\ufeff\s]*+(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s++)?html\b",
    re.IGNORECASE | re.DOTALL,
)
_HEAD_BYTES = 1024  # Before a declaration only blank lines were found, if anything.


def is_musicxml(data: bytes) -> bool:
    """Says whether bytes are XML in any encoding, or a ZIP archive as .mxl files are."""
    head = data[:_HEAD_BYTES]
    for mark, _ in _MARKS:
        head = head.removeprefix(mark)
    # Of a letter in two or four bytes the others are 0.
    return data[:2] == b"PK" or head.replace(b"\0", b"").lstrip()[:1] == b"<"


def parse_score(data: bytes) -> ElementTree.Element:
    """Returns the root of a score, its tags without namespaces.

    Nothing that a document type names is fetched, and none of its own entities is expanded.

    Raises:
        SongError: for what is no score, is damaged, or is too large when unpacked.
    """
    text = _text(_unpacked(data) if data[:2] == b"PK" else data)
    if "<!ENTITY" in text:  # No score has one; those that expand to gigabytes do.
        raise SongError("not MusicXML", "it declares entities of its own")
    if _HTML.match(text):
        raise SongError("not MusicXML", "a web page, in HTML: save the music that it links to")
    try:
        # Blank lines before the declaration are not XML, but cost no note.
        root = ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
    except ElementTree.ParseError as error:
        raise SongError("damaged MusicXML", str(error)) from error
    if "}" in str(root.tag):
        for element in root.iter():
            element.tag = str(element.tag).rpartition("}")[2]
    if root.tag not in SCORES:
        raise SongError("not MusicXML", f"expected a score, found <{root.tag}>")
    return root


def _unpacked(data: bytes) -> bytes:
    """Returns the score within a compressed file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if CONTAINER not in archive.namelist():
                raise SongError("not MusicXML", f"an archive without {CONTAINER}")
            container = ElementTree.fromstring(_member(archive, CONTAINER))
            root = container.find(".//{*}rootfile[@full-path]")
            if root is None:
                raise SongError("damaged MusicXML", f"{CONTAINER} names no score")
            return _member(archive, root.attrib["full-path"].removeprefix("/"))
    except (SongError, MemoryError):
        raise
    # Unknown versions of ZIP, ways of packing and passwords have errors of their own each.
    except Exception as error:
        raise SongError("damaged MusicXML", f"{type(error).__name__}: {error}") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise SongError("file too large", f"at most {MAX_FILE_BYTES:,} bytes in {name}")
    return data


def _text(data: bytes) -> str:
    """Returns the text of XML: by its byte order mark, else its first bytes, else what it says.

    What is damaged in words becomes a mark: no note is in it.
    """
    encoding = _encoding(data)
    try:
        return data.decode(encoding, "replace")
    except (LookupError, UnicodeError) as error:
        raise SongError("damaged MusicXML", f"unknown encoding {encoding}") from error


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:_HEAD_BYTES].lstrip(b" \t\r\n\0")
    if b"\0" in head[:4]:
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    declared = _DECLARED.match(head)
    name = declared.group(1).decode() if declared else "utf-8"
    # Single bytes that say that they are pairs: the program that wrote them was mistaken.
    return "utf-8" if name.lower().replace("_", "-").startswith(("utf-16", "utf-32")) else name
