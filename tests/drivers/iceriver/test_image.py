"""Firmware files: what is refused before a byte of it is sent, and how the model is told where the bytes cannot."""

from __future__ import annotations

import io

import pytest

from contract.errors import BadFirmwareError
from drivers.iceriver.protocol.image import (
    LONGEST_NAME,
    MOST_BYTES,
    UploadImage,
    check,
    check_model,
    models_in,
    multipart,
    sent_name,
)

ENCRYPTED = bytes(range(7, 250)) * 20


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("ICERIVER-KAS-KS3L-20230916.bgz", {"KS3L"}),
        ("ks5l.bgz", {"KS5L"}),
        ("KS0-PRO_20240101.bgz", {"KS0PRO"}),
        ("ks0pro_miner.bgz", {"KS0PRO"}),
        ("KS0 Ultra v2.bgz", {"KS0ULTRA"}),
        ("0627_v1_ks0miner", {"KS0"}),
        ("ICM168_3_2_10_ks5L_miner", {"KS5L"}),
        ("ICM168_3_3_1_10306_miner.bgz", {"AL3"}),
        ("KS3_KS3L_KS3M.bgz", {"KS3", "KS3L", "KS3M"}),
        ("RX0-2024.bgz", {"RX0"}),
        ("AE1.bgz", {"AE1"}),
        ("firmware.bgz", set()),
        ("KAS-20230916.bgz", set()),
        ("KS12345.bgz", set()),
        ("", set()),
    ],
)
def test_a_name_tells_the_models_it_speaks_of(text: str, models: set[str]) -> None:
    assert models_in(text) == models


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("KS3L", "ICERIVER-KAS-KS3L-20230916.bgz", None),
        ("KS0 PRO", "KS0-PRO.bgz", None),
        ("AL3", "update.bgz", "ICM168_3_3_2_10306_miner"),
        ("KS5L", "update.bgz", "ICM168_3_2_11_ks5L_miner"),
        ("KS5L", "ks5l.bgz", "ICM168_3_2_11"),
    ],
)
def test_a_file_for_this_model_may_be_sent(model: str, name: str, version: str | None) -> None:
    check_model(model, name, version)


@pytest.mark.parametrize(
    ("model", "name", "version", "why"),
    [
        ("KS3", "KS3L.bgz", None, "is for KS3L"),
        ("KS0", "KS0-PRO.bgz", None, "is for KS0PRO"),
        ("KS0PRO", "KS0.bgz", None, "is for KS0"),
        ("KS5L", "KS5L.bgz", "ICM168_3_2_11_ks5M_miner", "is for KS5M"),
        ("KS3L", "KS3_KS3L.bgz", None, "is for KS3"),
        ("KS3L", "firmware.bgz", None, "nothing says which model"),
        ("KS3L", "firmware.bgz", "20230916", "nothing says which model"),
        ("IceRiver 99999", "ks5l.bgz", None, "is for KS5L"),
    ],
)
def test_a_file_for_another_model_or_for_none_named_is_refused(
    model: str, name: str, version: str | None, why: str
) -> None:
    with pytest.raises(BadFirmwareError, match=why):
        check_model(model, name, version)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.bgz", "application/octet-stream"),
        ("a.bgz.bin", "application/octet-stream"),
        ("A.BGZ", "application/octet-stream"),
    ],
)
def test_an_encrypted_file_is_known_by_its_name_alone(name: str, kind: str) -> None:
    assert check(io.BytesIO(ENCRYPTED), len(ENCRYPTED), name).content_type == kind


def test_archives_are_known_by_what_they_begin_with() -> None:
    gzip = b"\x1f\x8b" + ENCRYPTED
    tar = bytes(257) + b"ustar" + ENCRYPTED
    assert check(io.BytesIO(gzip), len(gzip), "a.tar.gz").content_type == "application/x-gzip"
    assert check(io.BytesIO(tar), len(tar), "a.tar").content_type == "application/x-tar"
    for data, name in ((ENCRYPTED, "a.tar.gz"), (ENCRYPTED, "a.tar"), (gzip, "a.bin")):
        with pytest.raises(BadFirmwareError, match="not the kind of file"):
            check(io.BytesIO(data), len(data), name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"<html>404</html>" * 200,
        b' \n{"error": "gone"}' + ENCRYPTED,
        b"\xab\xab\xab\xab" + ENCRYPTED,
        b"PK\x03\x04" + ENCRYPTED,
        b"\x7fELF" + ENCRYPTED,
    ],
)
def test_what_is_no_firmware_is_refused(data: bytes) -> None:
    with pytest.raises(BadFirmwareError):
        check(io.BytesIO(data), len(data), "ks5l.bgz")


def test_a_file_over_the_miners_own_limit_is_refused_unread() -> None:
    class Unread(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError(size)

    with pytest.raises(BadFirmwareError, match="at most"):
        check(Unread(), MOST_BYTES + 1, "ks5l.bgz")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("ks5l.bgz", "ks5l.bgz"),
        ("$(reboot) ks5l.bgz", "reboot_ks5l.bgz"),
        ("..;ks5l.bgz", "ks5l.bgz"),
        ('a"; filename="b.bgz', "a_filename_b.bgz"),
        ("-rf.bgz", "rf.bgz"),
        ("ü", "firmware.bgz"),
        (f"{'x' * 100}.bgz", f"{'x' * (LONGEST_NAME - 4)}.bgz"),
    ],
)
def test_the_name_that_is_sent_holds_nothing_a_shell_could_take_amiss(name: str, sent: str) -> None:
    assert sent_name(name) == sent
    assert len(sent) <= LONGEST_NAME


def test_the_upload_is_one_part_with_a_closing_line() -> None:
    head, tail, kind = multipart(
        UploadImage(name="ks5l.bgz", size_bytes=3, content_type="application/octet-stream"), "mark"
    )
    assert head + b"abc" + tail == (
        b'--mark\r\nContent-Disposition: form-data; name="file"; filename="ks5l.bgz"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\nabc\r\n--mark--\r\n"
    )
    assert kind == "multipart/form-data; boundary=mark"
