"""The miner's config file, and what its shell scripts make of a write, with all their oddities."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from simulator.antminer.catalogue import AntminerProduct, Generation
from simulator.antminer.process import OLD_SLEEP
from simulator.pools import SLOTS, blank

Conf = dict[str, Any]
LATE_KEYS: Final = (
    "pools",
    "bitmain-fan-ctrl",
    "bitmain-fan-pwm",
    "bitmain-work-mode",
    "bitmain-hashrate-percent",
)
EMPTY: Final = object()
"""A field the script wrote as nothing at all: `"key" : ,`."""


@dataclass(frozen=True, slots=True)
class Write:
    """What a config write asks for and what comes of it."""

    code: str
    """M000 taken, M001 illegal request or invalid pool, M003 no config."""
    message: str
    conf: Conf | None = None
    """The file after the write; None when nothing is written."""
    asks_mode: bool = False
    asks_pools: bool = False
    restarts: bool = False
    """The process is restarted; otherwise it re-reads its file."""


def factory_config(model: AntminerProduct) -> Conf:
    """The file as it is after a factory reset: three empty pools."""
    conf: Conf = {"pools": [blank() for _ in range(SLOTS)]}
    if model.generation is Generation.NEW_GOD:
        conf["algo"] = model.algo
    else:
        conf |= {
            "api-listen": True,
            "api-network": True,
            "api-groups": "A:stats:pools:devs:summary:version",
            "api-allow": "A:0/0,W:*",
        }
    if model.generation is Generation.OLD:
        return conf | _old_rest(model)
    conf |= {"bitmain-fan-ctrl": False, "bitmain-fan-pwm": "100"}
    if model.generation is Generation.NEW_BM:
        conf["bitmain-use-vil"] = True
    conf |= {"bitmain-freq": str(model.frequency), "bitmain-voltage": model.voltage or "1280"}
    if model.generation is Generation.NEW_BM:
        conf |= {"bitmain-ccdelay": "0", "bitmain-pwth": "0"}
    conf |= {"bitmain-work-mode": "0", "bitmain-freq-level": "100"}
    if model.ip_cat:
        conf["bitmain-user-ip-cat"] = "0"
    return conf


def config_text(conf: Conf, model: AntminerProduct) -> str:
    """The file as get_miner_conf.cgi prints it."""
    if model.late_config:
        keys = LATE_KEYS + (("bitmain-user-ip-cat",) if model.ip_cat else ())
        return json.dumps({key: _plain(conf.get(key)) for key in keys}, indent=2)
    pools = ",\n".join(
        "{\n" + ",\n".join(f'"{key}" : "{pool[key]}"' for key in ("url", "user", "pass")) + "\n}"
        for pool in conf["pools"]
    )
    rest = ",\n".join(f'"{key}" : {_value(conf[key])}' for key in conf if key != "pools")
    return f'{{\n"pools" : [\n{pools}\n]\n,\n{rest}\n}}'


def mode_of(conf: Conf) -> int:
    """The configured mode as a number; empty means normal."""
    text = str(conf.get("bitmain-work-mode", ""))
    return int(text) if text.isdigit() else 0


def write_new(
    conf: Conf,
    body: bytes,
    model: AntminerProduct,
    *,
    mode_as_string: bool = False,
    few_pools_refused: bool = False,
    locked_pools: list[dict[str, str]] | None = None,
) -> Write:
    """set_miner_conf.cgi of the new generations: shell `read`, then one `jq` per field."""
    line = _shell_read(body)
    try:
        whole = json.loads(line)
    except ValueError:
        whole = None
    if not isinstance(whole, dict):
        return Write("M001", "Illegal request!")
    # the script expands the line without quotes: what follows the first blank is lost
    words = line.split(maxsplit=1)
    torn = len(words) > 1
    asked: dict[str, Any] = {} if torn else whole
    given = asked.get("pools")
    if few_pools_refused and not torn and isinstance(given, list) and _filled(given) < SLOTS:
        return Write("M001", "Invalid pool!")
    after: Conf = {"pools": _patched_pools(conf["pools"], given, torn=torn)}
    wanted_pools = after["pools"]
    if locked_pools is not None:
        after["pools"] = locked_pools
    old_mode, new_mode = conf.get("bitmain-work-mode", "0"), _asked_mode(asked, model)
    asks_mode = "miner-mode" in asked and str(asked["miner-mode"]) != str(old_mode)
    if mode_as_string and not isinstance(asked.get("miner-mode"), str):
        new_mode = None
    mode = str(old_mode) if new_mode is None else new_mode
    for key, value in conf.items():  # the file is rebuilt from a fixed list of keys
        if key in ("pools", "bitmain-user-ip-cat", "bitmain-hashrate-percent"):
            continue
        after[key] = value
    if "algo" in conf:
        after["algo"] = str(asked["algo"]) if asked.get("algo") is not None else model.algo
    fields = {
        "bitmain-fan-ctrl": ("bitmain-fan-ctrl", False),
        "bitmain-fan-pwm": ("bitmain-fan-pwm", "100"),
        "bitmain-freq-level": ("freq-level", "100"),
    }
    for key, (sent, default) in fields.items():
        if torn:
            after[key] = EMPTY
        elif model.resets_fans:
            after[key] = default
        elif asked.get(sent) is not None:
            value = asked[sent]
            after[key] = value if isinstance(value, bool) else str(value)
    is_god = model.generation is Generation.NEW_GOD
    after["bitmain-work-mode"] = int(mode) if is_god and mode.isdigit() else mode
    cat_before, cat = conf.get("bitmain-user-ip-cat"), asked.get("bitmain-user-ip-cat")
    if model.ip_cat and cat is not None:
        after["bitmain-user-ip-cat"] = str(cat)
    changed = mode != str(old_mode) or (cat is not None and str(cat) != str(cat_before))
    return Write(
        "M000",
        "OK!",
        conf=after,
        asks_mode=asks_mode,
        asks_pools=wanted_pools != conf["pools"],
        restarts=changed or asked.get("bitmain-work-mode") == "",
    )


def form_fields(model: AntminerProduct) -> list[str]:
    """The fields of the old generation's form, in the only order its script knows."""
    fields = [f"pool{slot}{part}" for slot in (1, 2, 3) for part in ("url", "user", "pw")]
    fields += ["nobeeper", "notempoverctrl", "fan_switch", "fan_value", "freq"]
    if model.voltage is not None:
        fields.append("voltage")
    if OLD_SLEEP in model.modes:
        fields.append("work_mode")
    return fields


def write_old(conf: Conf, body: bytes, model: AntminerProduct) -> Write:
    """set_miner_conf.cgi of the old generation: values count by position, names do not."""
    values = [part.partition("=")[2] for part in body.decode("latin-1").strip().split("&")]
    names = form_fields(model)
    values += [""] * (len(names) - len(values))
    form = {name: _form_decode(value) for name, value in zip(names, values, strict=False)}
    after: Conf = {
        "pools": [
            {"url": form[f"pool{n}url"], "user": form[f"pool{n}user"], "pass": form[f"pool{n}pw"]}
            for n in (1, 2, 3)
        ]
    }
    after |= {key: value for key, value in conf.items() if key.startswith("api-")}
    if form["nobeeper"] == "true":
        after["bitmain-nobeeper"] = True
    if form["notempoverctrl"] == "true":
        after["bitmain-notempoverctrl"] = True
    if form["fan_switch"] == "true":
        after |= {"bitmain-fan-ctrl": True, "bitmain-fan-pwm": form["fan_value"]}
    after["bitmain-use-vil"] = True
    asks_mode = False
    if "work_mode" in form:
        old = str(conf.get("bitmain-work-mode", "0"))
        asks_mode = form["work_mode"] != old
        text = form["work_mode"]
        known = text.isdigit() and int(text) in model.modes
        after["bitmain-work-mode"] = text if known else old
    after["bitmain-freq"] = form["freq"]
    if "voltage" in form:
        after["bitmain-voltage"] = form["voltage"]
    if "multi-version" in conf:
        after["multi-version"] = "1"
    return Write(
        "M000",
        "ok",
        conf=after,
        asks_mode=asks_mode,
        asks_pools=after["pools"] != conf["pools"],
        restarts=True,
    )


def _old_rest(model: AntminerProduct) -> Conf:
    rest: Conf = {"bitmain-use-vil": True}
    if OLD_SLEEP in model.modes:
        rest["bitmain-work-mode"] = "0"
    rest["bitmain-freq"] = "O" if OLD_SLEEP in model.modes else str(model.frequency)
    if model.voltage is not None:
        rest["bitmain-voltage"] = model.voltage
    if model.algorithm == "sha256" and OLD_SLEEP not in model.modes and model.voltage is None:
        rest["multi-version"] = "1"
    return rest


def _shell_read(body: bytes) -> str:
    # `read` without -r: one line, and a backslash takes itself away and keeps what follows
    line = body.decode("utf-8", "replace").partition("\n")[0]
    return re.sub(r"\\(.)?", lambda found: found.group(1) or "", line).strip()


def _patched_pools(old: list[dict[str, str]], given: Any, *, torn: bool) -> list[dict[str, str]]:
    pools: list[dict[str, str]] = []
    for slot in range(SLOTS):
        before = old[slot] if slot < len(old) else {"url": "", "user": "", "pass": ""}
        entry = given[slot] if isinstance(given, list) and slot < len(given) else {}
        entry = entry if isinstance(entry, dict) else {}
        if torn:
            pools.append({"url": "", "user": "", "pass": ""})
        else:
            pools.append(
                {
                    key: before[key] if entry.get(key) is None else str(entry[key])
                    for key in ("url", "user", "pass")
                }
            )
    return pools


def _filled(pools: list[Any]) -> int:
    return sum(1 for pool in pools if isinstance(pool, dict) and pool.get("url"))


def _asked_mode(asked: dict[str, Any], model: AntminerProduct) -> str | None:
    value = asked.get("miner-mode")
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return text if text.isdigit() and int(text) in model.modes else None


_DECODED: Final = {f"%{ord(mark):02X}": mark for mark in "#$%&,+:;<=>?@[]^{|}/"}
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def _form_decode(text: str) -> str:
    # the script knows these marks only, and only with capital hex digits; `+` stays `+`
    return _PERCENT.sub(lambda found: _DECODED.get(found.group(), found.group()), text)


def _plain(value: Any) -> Any:
    return None if value is EMPTY else value


def _value(value: Any) -> str:
    if value is EMPTY:
        return ""
    if isinstance(value, str):
        return f'"{value}"'
    return json.dumps(value)
