"""The words of a refusal are the same under every interpreter."""

from __future__ import annotations

import pytest

from cloud.http.errors import error_response
from cloud.http.statuses import words_of
from cloud.rigmonitor.replies import MachineError


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "Not Found"),
        (413, "Request Entity Too Large"),
        (416, "Requested Range Not Satisfiable"),
        (422, "Unprocessable Entity"),
        (507, "Insufficient Storage"),
    ],
)
def test_a_status_has_its_words_in_both_apis(status: int, words: str) -> None:
    assert f'"error":"{words}"'.encode() in bytes(error_response(status, "why").body)
    assert MachineError(status).body == {"errors": {"detail": words}}


@pytest.mark.parametrize(
    ("status", "words"), [(451, "Bad Request"), (599, "Internal Server Error")]
)
def test_a_status_nobody_named_means_what_its_class_means(status: int, words: str) -> None:
    assert words_of(status) == words
