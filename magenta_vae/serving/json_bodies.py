"""Bodies of JSON that a server is sent: read as objects, or refused with what was received."""

import json
from collections.abc import Mapping
from typing import Any

MAX_SHOWN = 60  # Characters of a value that was received.


class RequestError(ValueError):
    """A request that is refused.

    Args:
        message: what was expected and what was received.
        status: of the answer.
        facts: what else the answer says, as JSON values.
    """

    def __init__(self, message: str, status: int = 400, facts: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.status = status
        self.facts = facts or {}


def parse_object(body: bytes, takes_nan: bool = False) -> dict[str, Any]:
    """Returns the object that a body of JSON is. Raises `RequestError`.

    Args:
        body: what was sent.
        takes_nan: whether NaN and Infinity are numbers, which JSON itself does not have.
    """

    def refuse(constant: str):
        raise ValueError(f"{constant} is no number of JSON")

    try:
        content = json.loads(body, parse_constant=None if takes_nan else refuse)
    except RecursionError as error:
        raise RequestError("The body must be JSON. Received: too many brackets.") from error
    except ValueError as error:  # Of UTF-8 as well, and of numbers of thousands of digits.
        raise RequestError(f"The body must be JSON. Received what is none: {error}.") from error
    if not isinstance(content, dict):
        raise RequestError(f"The body must be an object of JSON. Received: {show(content)}.")
    return content


def show(value: Any) -> str:
    """Returns a value that was received, as JSON, or its beginning."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # A number of thousands of digits, a thousand brackets.
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
