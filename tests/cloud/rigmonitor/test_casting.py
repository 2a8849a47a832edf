"""Whatever a machine sends: a body, or every fault by its field; and what is taken can always be stored and shown."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cloud.rigmonitor.asic_figures import state_of, static_of
from cloud.rigmonitor.casting import TEXT_MAX, InvalidBodyError, cast
from cloud.rigmonitor.figures import ip_of
from cloud.rigmonitor.rig_figures import normalised
from cloud.rigmonitor.rig_figures import state_of as state_of_rig
from cloud.rigmonitor.rig_figures import static_of as static_of_rig
from contract.condition.anomalies import flags_of
from contract.miner import Moving, Slow, Static
from contract.rigmonitor.asic import AsicLog, AsicSpec
from contract.rigmonitor.rig import RigLog, RigSpec
from contract.rigmonitor.shared import Body
from tests.cloud.rigmonitor.conftest import LOG, SPEC, Machine
from tests.cloud.rigmonitor.test_rigs import RIG_LOG, RIG_SPEC

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", " ", "GH/s", "SOL/s", "%", "12TH", "-", "Connected", "1e400", "-0", "99999:0:0:0", "\ud800", "\x00",
        "\u212aH/s", "\u017fol/s", "1 \u017fecond", "8 \u212aB"])  # which are `k` and `s` where case means nothing
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def outcome(kind: type[Body], params: dict[str, Any]) -> Any:
    """The body, or the errors a machine is told."""
    try:
        return cast(kind, params)
    except InvalidBodyError as error:
        return error.errors


@given(st.dictionaries(st.sampled_from(sorted(LOG)), VALUES, max_size=8))
def test_any_log_is_taken_or_refused_by_field_and_what_is_taken_can_be_stored(
    changes: dict[str, Any],
) -> None:
    log = outcome(AsicLog, LOG | changes)
    if isinstance(log, dict):
        assert set(log) <= set(changes)
        assert all(len(messages) == 1 for messages in log.values())
        return
    moving, slow = state_of(log)
    # No infinity: JSON makes a null of it.
    stored = msgspec.json.decode(msgspec.json.encode((moving, slow)))
    assert msgspec.convert(stored, tuple[Moving, Slow]) == (moving, slow)
    assert moving.hashrate_hs is None or math.isfinite(moving.hashrate_hs * 86_400)
    assert all(len(fault.text) < 200 for fault in slow.faults)
    flags_of(moving, slow, None)
    ip_of(log.lan_ip).encode()
    assert cast(AsicLog, msgspec.json.decode(msgspec.json.encode(log))) == log


@given(st.dictionaries(st.sampled_from(sorted(SPEC)), VALUES, max_size=4))
def test_any_spec_is_taken_or_refused_by_field(changes: dict[str, Any]) -> None:
    spec = outcome(AsicSpec, SPEC | changes)
    if isinstance(spec, dict):
        assert set(spec) <= set(changes)
        return
    static = static_of(spec)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(static)), Static) == static


@given(
    st.dictionaries(st.sampled_from(RigLog.__struct_fields__), VALUES, max_size=8),
    st.dictionaries(st.sampled_from(RigSpec.__struct_fields__), VALUES, max_size=4),
)
def test_any_report_of_a_rig_is_taken_or_refused_by_field_and_what_is_taken_can_be_stored(
    log_changes: dict[str, Any], spec_changes: dict[str, Any]
) -> None:
    log, spec = outcome(RigLog, RIG_LOG | log_changes), outcome(RigSpec, RIG_SPEC | spec_changes)
    if isinstance(spec, dict):
        assert set(spec) <= set(spec_changes)
        spec = None
    if isinstance(log, dict):
        assert set(log) <= set(log_changes) | {group[-1] for group in RigLog.together}
        return
    log = normalised(log)
    moving, slow = state_of_rig(log, spec)
    stored = msgspec.json.decode(msgspec.json.encode((moving, slow, static_of_rig(spec, log))))
    again = msgspec.convert(stored, tuple[Moving, Slow, Static])
    assert again == (moving, slow, static_of_rig(spec, log))
    assert moving.hashrate_hs is None or math.isfinite(moving.hashrate_hs * 86_400)
    assert all(len(fault.text) < 200 for fault in slow.faults)
    flags_of(moving, slow, None)
    assert cast(RigLog, msgspec.json.decode(msgspec.json.encode(log))) == log


def test_a_text_beyond_all_use_is_refused_by_its_length() -> None:
    assert cast(AsicSpec, SPEC | {"model": "x" * TEXT_MAX}).model == "x" * TEXT_MAX
    assert outcome(AsicSpec, SPEC | {"model": "x" * (TEXT_MAX + 1), "firmware_version": 1}) == {
        "model": ["should be at most 4000 character(s)"],
        "firmware_version": ["is invalid"],
    }


async def test_rates_beyond_reason_do_not_spoil_the_mean_of_the_day(machine: Machine) -> None:
    for rate in (1.7e299, 1.7e299, -5, 13135, 1e24):
        assert await machine.logs(hashrate_5_min=rate) == (200, None)
    item = await machine.miner()
    assert (item["hashrate"], item["hashrate_24h"]) == (None, 13135e9)
