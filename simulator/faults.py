"""Scripted misbehaviour: what a miner can be told to do wrong, and for which requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

KNOWN: Final[dict[str, str]] = {
    # the line
    "dead": "nothing listens",
    "refuses_4028": "the API port is closed",
    "hangs": "accepts and never answers",
    "cuts": "closes after `bytes` bytes of the reply (default 20)",
    "drips": "sends one byte each `interval` real seconds (default 1.0)",
    "endless": "answers with bytes that never end",
    "huge_json": "streams one JSON document of `bytes` bytes (default 1 GiB)",
    "gzip_bomb": "HTTP: a gzip body that unpacks to `megabytes` (default 1024)",
    "redirect": "HTTP: 302 to `to`",
    "garbage": "spoils the reply; `variant`: nan, 1e999, nested (`depth`), binary, truncated, html, empty",
    "resets": "resets the connection when a request arrives",
    # the answers to orders
    "ignores": "answers OK and changes nothing",
    "silent_apply": "does it and never answers (`close`: hangs up instead)",
    "late_apply": "answers at once, does it `seconds` device seconds later (default 30)",
    "dies_after_write": "goes dark once an order arrived (`applied`: it still did it; `for_s`: then returns)",
    "slow_cgi": "each CGI takes `seconds` real seconds more (default 5)",
    "cgi_fails": "CGIs answer 500",
    "busy": "set_miner_conf answers M001 request busy",
    "locked_pools": "a signed pool file overrules what is written (`variant`: spoilt, ERR in place of each pool)",
    "bad_config": "get_miner_conf is spoilt; `variant`: missing_pools, broken, colon_comma, empty",
    # who it is
    "wrong_password": "the password is `password` (default `other`)",
    "unauthorized_after": "401 for good after `requests` authorised requests",
    "mac_late": "the MAC is empty for `seconds` device seconds after a boot (default 60; without the fault 3)",
    "serial_unknown": "the serial is shown as Unknown",
    "changes_mac": "reports the address `mac` from now on",
    "lies_uptime": "`variant`: never_restarts, jumps, constant",
    # its health
    "board_missing": "the boards `chains` (list of indexes from 0, default [0]) are gone",
    "cold": "temperatures below zero",
    "overheated": "protection stop: boards up, no hashing",
    "stuck_awake": "sleep is configured, but hashing goes on until the next reboot",
    "pools_dead": "no pool can be reached (`word`: what their Status says, default Dead)",
    "no_hash": "boots, but never hashes",
    # builds differ
    "no_array": "4028 has no array form",
    "no_new_api": "4028 takes no notice of new_api",
    "newline_end": "4028 replies end in a newline, not NUL",
    "lowercase_keys": "4028 replies have lower-case keys at the top and in VERSION and POOLS",
    "empty_unknown": "4028 answers unknown commands with nothing",
    "plain_unknown": '4028 answers unknown commands with {"error": "unknown command"} (`variant`: bare, {"id":1})',
    "empty_sleep": "asleep, STATS and SUMMARY are empty lists",
    "status_array": "the STATUS of the new shape is a list",
    "rate_unit_ths": "new-shape rates are in TH/s (`legacy`: those of the old shape too)",
    "no_rate_texts": "godminer gives its rates without the texts that name their unit",
    "new_numbers_as_text": "new-shape figures are texts",
    "meter_unknown": "port 6060 knows no miner_power",
    "json_slips": "4028 stats break JSON; `variant`: leading_comma, trailing_comma, raw_newline",
    "wrong_unit": "legacy stats give the nominal rate a thousand times too high",
    "board_unit_off": "the boards' rates are told `factor` times too high (default 1000)",
    "type_suffix": "`text` behind the model in Type (default ` (024)`)",
    "clock_1970": "the device's clock began at its boot",
    "truncated_stats": "4028 stats are cut before the end",
    "chain_power": "STATS[1] has chain_power",
    "stats_power": "new-shape stats have the watts as power",
    "stats_watt": "new-shape stats have the watts as watt (`zero`: a 0 that means nothing)",
    "serial_no": "the serial is told as serial_no",
    "nameless_api": "Type of 4028 is `text` (default empty); the web side names the model",
    "mode_as_string": "the mode is taken only as text (`answer`: 200 silently, or 400)",
    "mode_key_plain": "the config read back names the mode miner-mode",
    "set_conf_success": 'set_miner_conf answers {"success": true}',
    "few_pools_refused": "fewer than 3 pools are refused with M001",
    "lists_set_pools_only": "the config read back leaves out empty pool slots",
    "no_blink": "no blink.cgi",
    "no_blink_status": "no get_blink_status.cgi",
    "blink_as_string": "blink.cgi takes only the text form, 400 otherwise",
    "reboot_post_only": "reboot.cgi answers GET with `answer` (404 or 405, default 405)",
    "root_404": "GET / is 404",
    "realm_other": "the realm is `text` (default blackMiner Configuration)",
    "realm_lowercase": "the realm is written in small letters",
    "opaque": "the challenge carries opaque and algorithm",
    "nonce_expires": "a nonce is worth `requests` requests (default 1), then stale",
    "logs_swapped": "the log is under the other generation's name",
    "big_log": "the log has `bytes` bytes",
    "upgrade_needs_name_file": "the upload's part must be named file",
    "upgrade_plain_reply": "the upload is answered with plain text; it waits for a reboot",
    "upgrade_bad_flash": "takes the image, but boots the old version again",
    "no_miner_type": "no miner_type.cgi",
    "platform_type": "Type is the platform name (or `text`), not the model",
    "unknown_conf_key": "the config has a bitmain-* key nobody knows",
    # WhatsMiner: tokens, seals, frames
    "refuses_4433": "API v3 is closed",
    "write_disabled": "the API switch is off",
    "locked_account": "v3 writes are refused: account is locked",
    "denied_as_fail": "v3 answers a wrong password with -1, not -4",
    "checks_ts": "v3 writes more than `seconds` (default 30) off the device's clock are refused",
    "clock_drift": "the device's clock is `seconds` ahead (default a day)",
    "token_never": "get_token, and the salt of v3, never come",
    "token_expires_at_once": "no token is worth anything when it is used",
    "token_code": "get_token answers with `code` (default 131)",
    "busy_slots": "get_token answers that all slots are taken",
    "bare_136": "full slots are told with nothing but a code",
    "wrong_key_reply": "sealed replies are sealed with another key",
    "wrong_padding": "sealed replies are filled up with junk",
    "empty_reply": "sealed replies are empty once opened",
    "closes_after_each": "v3 closes after each reply",
    "joined_refused": "joined commands are refused",
    "short_frames": "v3 frames end before their length",
    "oversized_length": "v3 frames announce 4 GiB",
    "heartbeats": "v3 sends an empty frame before each reply",
    "nul_end": "4028 replies of WhatsMiner end in NUL",
    "pools_need_restart": "new pools are accepted, but used only after a restart",
    "draws_on": "a power limit or percentage is taken and told, and it draws on as before",
    "forgets_limit": "a power limit is gone once its mining has restarted",
    "power_off_slips": "asleep, it wakes by itself after two minutes",
    "high_fails": "high mode is accepted, but error 218 comes instead",
    "fan_failed": "the inlet fan stands still (error 110)",
    "error_codes": "the codes `codes` (numbers) are active",
    "error_flood": "hundreds of error codes; 4028 cuts the reply",
    "error_list_slip": "4028 writes its list of errors as broken JSON",
    "error_numbers": "errors are plain numbers",
    "reject_rate": "v3 calls the rejected percentage reject-rate",
    "no_env_temp": "v3 does not tell the temperature of air or coolant in its summary",
    "psu_slip": "get_psu lacks a comma",
    "upload_cut": "resets after `bytes` bytes of an image (default 1024)",
    "log_glued": "the log's header and bytes come in one piece",
    "log_short": "the log ends half-way",
    "log_empty": "the log has no bytes",
    # IceRiver: a web layer before a daemon
    "refuses_4111": "the daemon's port is closed to the network; the web layer still reaches it",
    "daemon_down": "the daemon is gone: 4111 is closed, the web layer answers error 1",
    "daemon_hangs": "the daemon never answers; the web layer says error 2 after a minute",
    "web_down": "nothing listens on port 80; the daemon is well",
    "leaky_web": "the web layer slows down and is gone after `loads` pages (default 50)",
    "login_page": "the web layer answers with a page, not JSON",
    "odd_content_type": "JSON is announced as `type` (default image/png)",
    "no_error_key": "replies lack `error`",
    "wants_login": "error 1004 until somebody logged in",
    "answers_error": "the web layer answers error `code` (default 1004) with `message`",
    "query_ignored": "only fields in the body count",
    "chunked_web": "the web layer answers in chunks where the connection is kept",
    "odd_suffix": "rates end in `text` (default X) instead of their unit",
    "bad_sensor": "the outlet sensor of the second board shows 126",
    "gateway_glued": "an IPv6 address is glued to the gateway",
    "two_addresses": "two addresses are told, with a space between",
    "temp_flag_low": "tempstate is false though nothing is hot",
    "no_board_average": "boards have no avgpow",
    "garbles_sleep": "the form of variant A makes sleep into a word that is no mode",
    "reboot_drops": "an order to reboot is not answered, the line is cut",
    "restarts_often": "reboots by itself every `every_s` device seconds (default half an hour)",
    "dhcp_reverts": "DHCP is lost with the next boot",
    "md5_fails": "each image is refused for its sum",
    "takes_any_model": "an image of another model is taken, and bricks at the next boot",
    # rigs; the line's faults strike programs as `http` or `rpc`, their host as `ssh`
    "nvml_hangs": "NVML and nvidia-smi keep whoever asks",
    "nvml_error": "NVML answers error `value` (default 9) to everything, or to `figures` (list, e.g. fan) alone",
    "gpu_falls_off": "the GPUs `gpus` (indexes, default [0]) fell off the bus; `variant`: lost, gone (listed no more)",
    "sensor_blocks": "the host's files that match `files` (list of patterns) block whoever reads them",
    "sensor_fails": "the host's files that match `files` (list of patterns) answer with an I/O error",
    "program_dies": "mining programs end by themselves `after_s` device seconds after their start (default 30)",
    "no_api": "mining programs run without an API",
    "refuses_22": "the SSH server is down",
    "changes_host_key": "the SSH server shows another host key",
    # AntMiner again
    "fragile_web": "more than `limit` CGIs at once (default 3) hang the web server until reboot",
}


class FaultError(ValueError):
    """A fault nobody knows, or a faults file that is not one."""


@dataclass(slots=True)
class Fault:
    """One fault with its arguments.

    Every fault takes the filters `actions`, `match` (texts, one of which must occur in the request
    line or command), `ports` (kinds: http, rpc, v3, daemon) and `times` (how often it strikes).
    """

    name: str
    args: dict[str, Any] = field(default_factory=dict)

    def applies(self, *, action: str | None, text: str | None, port: str | None) -> bool:
        """True when the filters let this request through to the fault."""
        actions, match, ports = (self.args.get(key) for key in ("actions", "match", "ports"))
        return (
            (not actions or action is None or action in actions)
            and (not match or (text is not None and any(part in text for part in match)))
            and (not ports or port is None or port in ports)
        )


class Faults:
    """The faults of one miner. `changed` is called after every change of the set."""

    def __init__(self, changed: Callable[[], None] | None = None) -> None:
        self._faults: list[Fault] = []
        self._built_in: tuple[str, ...] = ()
        self._changed = changed or (lambda: None)

    def build_in(self, names: Iterable[str]) -> None:
        """The quirks of this build; they survive `clear` and `replace`."""
        self._built_in = tuple(names)
        self._faults = [Fault(_known(name)) for name in self._built_in] + self._faults

    def add(self, name: str, **args: Any) -> None:
        """Begin to misbehave so."""
        self._faults.append(Fault(_known(name), args))
        self._changed()

    def remove(self, name: str) -> None:
        """End every fault of that name."""
        self._faults = [fault for fault in self._faults if fault.name != _known(name)]
        self._changed()

    def clear(self) -> None:
        """End every fault but the build's own quirks."""
        self.replace([])

    def replace(self, specs: Iterable[str | Mapping[str, Any]]) -> None:
        """Set the faults from their JSON form: names, or objects with `fault` and arguments."""
        self._faults = [Fault(name) for name in self._built_in]
        self._faults += [parse_fault(spec) for spec in specs]
        self._changed()

    def get(self, name: str) -> Fault | None:
        """The fault of that name, whatever its filters; does not count as a strike."""
        return next((fault for fault in self._faults if fault.name == name), None)

    def __contains__(self, name: str) -> bool:
        return self._faults != [] and self.get(name) is not None

    def take(
        self,
        name: str,
        *,
        action: str | None = None,
        text: str | None = None,
        port: str | None = None,
    ) -> Fault | None:
        """The fault of that name if it strikes this request; uses up one of its `times`."""
        for fault in self._faults:
            if fault.name == name and fault.applies(action=action, text=text, port=port):
                if "times" in fault.args:
                    fault.args["times"] -= 1
                    if fault.args["times"] <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def specs(self) -> list[dict[str, Any]]:
        """Those in force in their JSON form."""
        return [{"fault": fault.name, **fault.args} for fault in self._faults]

    def names(self) -> list[str]:
        """The names in force, for listings."""
        return [fault.name for fault in self._faults]


def parse_fault(spec: str | Mapping[str, Any]) -> Fault:
    """One fault of a faults file. Raises FaultError."""
    if isinstance(spec, str):
        return Fault(_known(spec))
    if not isinstance(spec, Mapping) or not isinstance(spec.get("fault"), str):
        raise FaultError(f'a fault is a name or an object with "fault": {spec!r}')
    args = {key: value for key, value in spec.items() if key != "fault"}
    return Fault(_known(spec["fault"]), args)


def load_faults(path: Path) -> dict[str, list[str | dict[str, Any]]]:
    """Read a faults file: address (or `*`) to list of faults. Raises FaultError or OSError."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise FaultError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(v, list) for v in document.values()):
        raise FaultError(f"{path}: expected an object of address to list of faults")
    for specs in document.values():
        for spec in specs:
            parse_fault(spec)
    return document


def _known(name: str) -> str:
    if name not in KNOWN:
        raise FaultError(f"unknown fault {name!r}; known: {', '.join(sorted(KNOWN))}")
    return name
