"""What an HTTP status is called in the bodies of our APIs: words of our own, which no interpreter changes.

They are those that clients of these APIs have seen so far. Later standards renamed some (413, 414, 416, 422), and
programming languages followed in one release or another: hence a table of our own, whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_WORDS: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    417: "Expectation Failed",
    422: "Unprocessable Entity",
    423: "Locked",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
}


def words_of(status: int) -> str:
    """The name of an error status (400 to 599); of one not named here that of 400 or 500 (RFC 9110, section 15)."""
    return _WORDS.get(status) or _WORDS[status // 100 * 100]
