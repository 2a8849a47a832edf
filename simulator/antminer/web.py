"""The web server on port 80: Digest before everything, then the CGI scripts of the generation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from simulator.antminer import cgi_new, cgi_old
from simulator.antminer.catalogue import Generation, Shape
from simulator.antminer.output import page
from simulator.http import DigestGate, HttpConnection, WebRequest, WebResponse, parse_digest

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

REALM: Final = "antMiner Configuration"
CGI_S: Final = 0.08
_UNKNOWN_METER: Final = "error 6060 cmd"
# paths that change something, by the name of the change in the ledger
ORDERS: Final = {
    "/cgi-bin/reboot.cgi": "reboot",
    "/cgi-bin/reset_conf.cgi": "factory_reset",
    "/cgi-bin/blink.cgi": "light",
    "/cgi-bin/set_miner_conf.cgi": "config",
    "/cgi-bin/passwd.cgi": "password",
    "/cgi-bin/set_network_conf.cgi": "network",
    "/cgi-bin/upgrade.cgi": "firmware",
    "/cgi-bin/upgrade_clear.cgi": "firmware",
    "/cgi-bin/create_log_backup.cgi": "log_archive",
}


class PowerConnection(HttpConnection):
    """Port 6060: HTTP without a password."""

    kind = "power"


class AntminerWebServer:
    """lighttpd as the firmware ships it."""

    def __init__(self, miner: AntminerDevice) -> None:
        self._miner = miner
        self._gate = DigestGate(REALM)
        self._authorized = 0
        self._uses: dict[str, int] = {}
        self._running = 0

    async def handle(self, request: WebRequest) -> WebResponse:
        """Answer one request to port 80."""
        miner = self._miner
        if self.web_hangs():
            return WebResponse(hold=True)
        if request.path == "/" and "root_404" in miner.faults:
            return page(404, "404 - Not Found")
        if (refusal := self._check(request)) is not None:
            return refusal
        is_old = miner.spec.generation is Generation.OLD
        scripts = cgi_old.SCRIPTS if is_old else cgi_new.SCRIPTS
        script = scripts.get(request.path)
        if script is None:
            return self._static(request)
        self._running += 1
        miner.most_scripts = max(miner.most_scripts, self._running)
        try:
            fragile = miner.faults.get("fragile_web")
            if fragile is not None and self._running > int(fragile.args.get("limit", 3)):
                miner.web_hung = True
                return WebResponse(hold=True)
            await miner.clock.sleep(CGI_S)
            if miner.faults.take("cgi_fails", text=request.line):
                return page(500, "500 - Internal Server Error")
            while miner.spec.shape is Shape.SOC and miner.config_lock:
                await miner.clock.sleep(0.5)  # this server waits for a running config write
            return await script(miner, request)
        finally:
            self._running -= 1

    async def power(self, request: WebRequest) -> WebResponse:
        """Answer one request to port 6060."""
        miner = self._miner
        answers = {
            "/miner_power": f"miner power:{miner.process.power_w():.0f}",
            "/warning": '{"error_message":"%s"}' % ("P:1" if miner.process.overheated else "None"),
            "/rate": f"{miner.units.legacy(miner.process.rate_5s())}",
            "/ideal_rate": f"{miner.units.legacy(miner.ideal_hs())}",
            "/productName": miner.spec.name,
            "/get_sn": miner.serial,
            "/miner_status": "0",
        }
        text = answers.get(request.path, _UNKNOWN_METER)
        if "meter_unknown" in miner.faults and request.path == "/miner_power":
            text = _UNKNOWN_METER
        return WebResponse(body=text.encode(), headers=(("Content-Type", "text/plain"),))

    def web_hangs(self) -> bool:
        """True once too many scripts at once have brought the server down."""
        return self._miner.web_hung

    def _check(self, request: WebRequest) -> WebResponse | None:
        miner = self._miner
        faults = miner.faults
        self._gate.realm = REALM.lower() if "realm_lowercase" in faults else REALM
        if other := faults.get("realm_other"):
            self._gate.realm = str(other.args.get("text", "blackMiner Configuration"))
        changed = faults.get("wrong_password")
        password = str(changed.args.get("password", "other")) if changed else miner.password
        if not self._gate.admits(request, password):
            return self._challenge(request)
        if "opaque" in faults and "opaque" not in (
            parse_digest(request.headers["authorization"]) or {}
        ):  # such builds want it back
            return self._challenge(request)
        if "nonce_expires" in faults:
            nonce = (parse_digest(request.headers["authorization"]) or {})["nonce"]
            self._uses[nonce] = self._uses.get(nonce, 0) + 1
            limit = faults.get("nonce_expires")
            if limit is not None and self._uses[nonce] > int(limit.args.get("requests", 1)):
                return self._challenge(request, stale=True)
        self._authorized += 1
        after = faults.get("unauthorized_after")
        if after is not None and self._authorized > int(after.args.get("requests", 0)):
            return self._challenge(request)
        return None

    def _challenge(self, request: WebRequest, *, stale: bool = False) -> WebResponse:
        miner = self._miner
        action = ORDERS.get(request.path)
        if action is not None and b"onPageLoaded" not in request.body:
            had = "authorization" in request.headers
            reason = "stale" if stale else "bad_credentials" if had else "no_credentials"
            miner.record(action, "rejected", reason=reason)
        secret = hashlib.md5(f"{miner.mac}{miner.boot}".encode()).hexdigest()
        value = self._gate.challenge(secret=secret, opaque="opaque" in miner.faults, stale=stale)
        return page(401, "401 - Unauthorized", ("WWW-Authenticate", value))

    def _static(self, request: WebRequest) -> WebResponse:
        miner = self._miner
        archive = miner.archives.get(request.path.removeprefix("/log/"))
        if request.path.startswith("/log/") and archive is not None:
            return WebResponse(body=archive, headers=(("Content-Type", "application/x-tar"),))
        if request.path in ("/", "/index.html"):
            return page(200, f"{miner.spec.name} - Antminer")
        return page(404, "404 - Not Found")
