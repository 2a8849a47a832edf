"""Bytes as a broken or hostile far side might send them, made from good ones by a seeded mutator."""

from __future__ import annotations

import random
from collections.abc import Iterator

NASTY = (
    b"\x00", b"\xff", b"NaN", b"1e999", b"-1e999", b"9" * 400, b"[[[[[[[[", b"]]]]", b"{{{{", b"}{", b",,", b'"',
    b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"-", b"0x", b":", b": ,", b"\r\n", b"\r\n\r\n", b" ", b"e",
    b"18446744073709551616", b"-9223372036854775809", b"0-0-0-0", b'"":', b"\xed\xa0\x80", b"Infinity",
)  # fmt: skip


def mutants(seeds: list[bytes], number: int, seed: int) -> Iterator[bytes]:
    """`number` inputs; the same for the same `seed`."""
    dice = random.Random(seed)
    for _ in range(number):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 3, 5, 8))):
            _mutate(data, dice, seeds)
        yield bytes(data)


def _mutate(data: bytearray, dice: random.Random, seeds: list[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    match dice.randrange(8):
        case 0 if data:
            data[min(at, len(data) - 1)] = dice.randrange(256)
        case 1:
            data[at:at] = dice.choice(NASTY)
        case 2:
            del data[at : at + dice.choice((1, 2, 10, 100, 1000))]
        case 3:
            del data[at:]
        case 4:
            piece = data[at : at + dice.choice((1, 5, 50, 500))]
            data[at:at] = piece * dice.choice((1, 2, 5))
        case 5:
            other = dice.choice(seeds)
            begin = dice.randrange(len(other) + 1)
            data[at:at] = other[begin : begin + 200]
        case 6:
            digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
            if digits:
                where = dice.choice(digits)
                data[where : where + 1] = dice.choice(NASTY)
        case _:
            data[at : at + 1] = bytes([dice.randrange(256)])
