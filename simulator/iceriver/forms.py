"""What a browser's form sends: fields in the body or the query, and a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from simulator.http import WebRequest

_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?')
_NAME: Final = re.compile(r'[; ]name="([^"]*)"')
_FILE_NAME: Final = re.compile(r'filename="([^"]*)"')


def fields(request: WebRequest, *, with_query: bool = True) -> dict[str, str]:
    """The fields, without the spaces around their values; one in the body outdoes one in the query."""
    texts = [request.query] if with_query else []
    if "multipart" not in request.headers.get("content-type", ""):
        texts.append(request.body.decode("utf-8", "replace"))
    return {
        name: value.strip(" ")
        for text in texts
        for name, value in parse_qsl(text, keep_blank_values=True)
    }


def upload(headers: Mapping[str, str], body: bytes) -> tuple[str, bytes] | None:
    """The client's name and the bytes of the part `file`, `None` where there is none."""
    found = _BOUNDARY.search(headers.get("content-type", ""))
    if found is None:
        return None
    for part in body.split(b"--" + found.group(1).encode())[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        name, file_name = _NAME.search(text), _FILE_NAME.search(text)
        if blank and name and name.group(1) == "file" and file_name:
            return file_name.group(1), content.removesuffix(b"\r\n")
    return None
