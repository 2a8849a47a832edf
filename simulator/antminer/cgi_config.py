"""get_miner_conf.cgi and set_miner_conf.cgi of the new generations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.antminer.config import Conf, Write, config_text, mode_of, write_new
from simulator.antminer.output import code_output, json_output, page, script_output
from simulator.http import WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice


async def get_miner_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    del request
    return script_output(miner, shown_config(miner))


def shown_config(miner: AntminerDevice) -> str:
    """The config file's text, as its faults and builds show it."""
    conf = dict(miner.conf)
    if "unknown_conf_key" in miner.faults:
        conf["bitmain-unheard-of"] = "1"
    if "lists_set_pools_only" in miner.faults:
        conf["pools"] = [pool for pool in conf["pools"] if pool["url"]]
    bad = miner.faults.take("bad_config")
    variant = bad.args.get("variant", "missing_pools") if bad else ""
    if miner.config_corrupt:
        variant = "broken"
    if variant == "missing_pools":
        return json.dumps({k: v for k, v in conf.items() if k != "pools"})
    text = config_text(conf, miner.spec)
    if "mode_key_plain" in miner.faults:
        text = text.replace('"bitmain-work-mode"', '"miner-mode"')
    if variant == "broken":
        return text[: len(text) // 2]
    if variant == "colon_comma":
        return re.sub(r'("bitmain-freq" : )"[^"]*"', r"\1", text)
    return "" if variant == "empty" else text


async def set_miner_conf(miner: AntminerDevice, request: WebRequest) -> WebResponse:
    faults, spec = miner.faults, miner.spec
    if request.method != "POST":
        return code_output(miner, "M001", "Illegal request!")
    if faults.take("busy") or (spec.late_config and miner.config_lock):
        miner.record("config", "rejected", reason="busy")
        return code_output(miner, "M001", "request busy")
    if "bad_config" in faults or miner.config_corrupt:
        miner.record("config", "rejected", reason="load conf err")
        return code_output(miner, "M003", "load conf err")
    locked = None
    if lock := faults.get("locked_pools"):
        is_spoilt = lock.args.get("variant") == "spoilt"
        locked = [
            dict.fromkeys(pool, "ERR") if is_spoilt else dict(pool) for pool in miner.conf["pools"]
        ]
    write = write_new(
        miner.conf,
        request.body,
        spec,
        mode_as_string="mode_as_string" in faults,
        few_pools_refused="few_pools_refused" in faults,
        locked_pools=locked,
    )
    strict = faults.get("mode_as_string")
    refused = strict is not None and strict.args.get("answer") == 400
    if refused and not _mode_is_text(request.body):
        miner.record("config", "rejected", reason="mode is no text")
        return page(400, "400 - Bad Request")
    if write.conf is None:
        miner.record("config", "rejected", reason=write.message)
        return code_output(miner, write.code, write.message)
    actions = ["mode"] * write.asks_mode + ["pools"] * write.asks_pools or ["config"]
    for action in actions:
        miner.record(action, "received", before=config_view(miner.conf, action))
    boot = miner.boot
    corrupts, miner.config_lock = miner.config_lock, True
    try:
        await miner.clock.sleep(spec.set_conf_s / 2)

        def effect() -> None:
            apply_write(miner, write, actions, config_view, corrupts=corrupts)
            if not write.restarts:
                miner.reload()
            elif spec.restart_by_mailbox:
                miner.mailbox.put("restart", miner.restart_process)
            else:
                miner.after(0.5, miner.restart_process)

        done = {"stats": "success", "code": "M000", "msg": "OK!"}
        answer = (
            json_output(miner, {"success": True})
            if "set_conf_success" in faults
            else json_output(miner, done)
        )
        response = miner.carry_out(actions, effect, answer)
        await miner.clock.sleep(spec.set_conf_s / 2)
        return response
    finally:
        # a client that left early leaves the lock file behind where there is one
        if miner.boot == boot:
            miner.config_lock = spec.late_config and request.client_gone()


def apply_write(
    miner: AntminerDevice,
    write: Write,
    actions: list[str],
    view: Callable[[Conf, str], Conf],
    *,
    corrupts: bool,
) -> None:
    """Put the new file in the place of the old; `view` is what the ledger shows of it for an action."""
    before = miner.conf
    assert write.conf is not None
    miner.conf = write.conf
    miner.config_corrupt = corrupts
    for action in actions:
        miner.record(action, "applied", before=view(before, action), after=view(miner.conf, action))


def config_view(conf: Conf, action: str) -> Conf:
    """The part of the config an action is about, for the ledger."""
    if action == "mode":
        return {"mode": str(mode_of(conf))}
    if action == "pools":
        return {"pools": [dict(pool) for pool in conf["pools"]]}
    shown = ("bitmain-fan-ctrl", "bitmain-fan-pwm", "bitmain-freq-level", "bitmain-freq")
    return {key: conf[key] for key in shown if isinstance(conf.get(key), str | bool)}


def _mode_is_text(body: bytes) -> bool:
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    return isinstance(asked, dict) and isinstance(asked.get("miner-mode"), str)
