"""Every recorded configuration, request and identity page of an AntMiner is understood, and written as recorded."""

from __future__ import annotations

import json

import pytest

from contract.errors import UnsupportedError
from contract.miner import normalize_mac
from drivers.antminer.identify import classify
from drivers.antminer.protocol import conf
from drivers.antminer.protocol.repair import decode_json
from drivers.base import StoredPool
from tests.recorded.where import needs, recordings_of
from tests.recordings.antminer_conf import EXPECTED, Config, Info, Request

ROOT = recordings_of("antminer")
needs_recordings = needs(ROOT)


def named(kind: type) -> list[str]:
    return [name for name, expected in EXPECTED.items() if isinstance(expected, kind)]


def config_of(name: str) -> conf.MinerConf:
    return conf.parse((ROOT / name).read_bytes())


def slots(pools: tuple[tuple[str, str, str], ...]) -> tuple[StoredPool, ...]:
    return tuple(StoredPool(url=url, user=user, password=word) for url, user, word in pools)


@needs_recordings
@pytest.mark.parametrize("name", named(Config))
def test_a_configuration_is_understood(name: str) -> None:
    expected = EXPECTED[name]
    assert isinstance(expected, Config)
    found = config_of(name)
    assert found.pools == slots(expected.pools)
    assert (found.mode_number, found.has_mode) == (expected.mode, expected.has_mode)
    assert {key: found.fields[key] for key in expected.facts} == expected.facts
    assert len(found.fields) == expected.count
    if expected.writes_as == "form":
        conf.form_body(found, found.slots, found.mode_number)
    else:
        conf.json_body(found, found.slots, found.mode_number)
        with pytest.raises(UnsupportedError):  # a newer file never goes out in the old form
            conf.form_body(found, found.slots, found.mode_number)


@needs_recordings
@pytest.mark.parametrize("name", named(Request))
def test_we_write_what_was_written_to_the_real_miner(name: str) -> None:
    expected = EXPECTED[name]
    assert isinstance(expected, Request)
    recorded = (ROOT / name).read_bytes().strip()
    config = config_of(expected.config)
    if expected.dialect == "form":  # by position, so byte for byte
        assert conf.form_body(config, slots(expected.pools), expected.mode) == recorded
        return
    ours = json.loads(conf.json_body(config, slots(expected.pools), expected.mode))
    theirs = json.loads(recorded)
    assert ours.keys() - theirs.keys() == expected.left_out
    assert theirs.keys() - ours.keys() == set()
    assert {key: str(ours[key]) for key in theirs} == {key: str(theirs[key]) for key in theirs}


@needs_recordings
@pytest.mark.parametrize("name", named(Info))
def test_an_identity_page_is_understood(name: str) -> None:
    expected = EXPECTED[name]
    assert isinstance(expected, Info)
    found = decode_json((ROOT / name).read_bytes())
    assert {key: found[key] for key in expected.facts} == expected.facts
    assert normalize_mac(found.get("macaddr")) == expected.mac
    texts = " ".join(map(str, found.values()))
    assert (classify(texts) == "stock") is expected.is_stock
