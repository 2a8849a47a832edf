"""Enrolling with a code that names the cloud's authority, and knowing that cloud from then on; against servers that are
not what they say.
"""

from __future__ import annotations

import shutil
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from agent.config.file import Config, parse
from agent.firmware.download import open_downloader
from agent.link.client import CloudLink
from agent.link.enroll import WrongCloudError, enroll
from agent.link.exchange import UntrustedError
from agent.link.trust import CloudTrust
from agent.ports import CloudError
from cloud.tls.folder import TlsFolder
from cloud.tls.keeper import server_context
from cloud.tls.public import own_fingerprint
from contract.enrolment.authorities import as_pem, certificates_in, fingerprint
from contract.enrolment.code import EnrolCode
from contract.errors import UnreachableError
from contract.link import (
    Authorities,
    ClaimReply,
    ClaimRequest,
    EnrollReply,
    Heartbeat,
    HeartbeatReply,
)
from tests.agent.link.test_client import said

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SECRET = "AAAA-BBBB-CCCC-DDDD-EEEE"
CLAIM = ClaimRequest(journal_id="j", last_seq=3, wait_s=0.0)
BEAT = Heartbeat(version="v", uptime_s=1.0, host={})


class FarSide:
    """Whoever answers: a cloud, or somebody in its place. `asked` is every path that was asked for, `codes` what was
    told.
    """

    def __init__(self, context: ssl.SSLContext | None, pem: str) -> None:
        self.context = context
        self.pem = pem
        self.asked: list[str] = []
        self.codes: list[str] = []
        self.url = ""
        self.answer: Callable[[], web.StreamResponse] | None = None  # in place of the authorities

    @classmethod
    def of(cls, folder: TlsFolder) -> FarSide:
        return cls(server_context(folder.server), folder.trusted.read_text())

    @property
    def told(self) -> tuple[str, ...]:
        return tuple(map(fingerprint, certificates_in(self.pem)))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix("/link/v1/")
        self.asked.append(name)
        if name == "authorities":
            return self.answer() if self.answer else said(Authorities(pem=self.pem))
        if name == "enroll":
            self.codes.append((await request.json())["code"])
            return said(EnrollReply(agent_id="a", workspace_id="w", farm_id="f", token="t0p"))
        if name == "heartbeat":
            return said(HeartbeatReply(authorities=self.told))
        if name == "image":
            return web.Response(body=b"firmware")
        return said(ClaimReply(lease_s=9.0))


@asynccontextmanager
async def answering(far: FarSide, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[FarSide]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", far.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=far.context).start()
    scheme = "http" if far.context is None else "https"
    literal = f"[{host}]" if ":" in host else host
    far.url = f"{scheme}://{literal}:{runner.addresses[0][1]}"
    try:
        yield far
    finally:
        await runner.cleanup()


def made(place: Path, *names: str) -> TlsFolder:
    folder = TlsFolder(place)
    folder.init(names or ("cloud.example.net",), NOW)
    return folder


@pytest.fixture
def ours(tmp_path: Path) -> TlsFolder:
    return made(tmp_path / "cloud")


@pytest.fixture
def theirs(tmp_path: Path) -> TlsFolder:
    """Of somebody in between, for every name of ours."""
    return made(tmp_path / "between")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def code_of(folder: TlsFolder) -> str:
    return str(EnrolCode(SECRET, own_fingerprint(folder.root.parent)))


async def enrolled(far: FarSide, code: str, state: Path, **more: Path) -> None:
    await enroll(far.url, code, state / "token", pin_file=state / "cloud-ca.pem", **more)


def config_of(state: Path, url: str, **cloud: str) -> Config:
    return parse({"cloud": {"url": url, **cloud}, "state": {"dir": str(state)}})


@asynccontextmanager
async def linked(config: Config) -> AsyncIterator[CloudLink]:
    assert config.cloud.url is not None
    trust = CloudTrust(config.cloud_ca, is_pinned=config.cloud.ca_file is None)
    link = CloudLink(config.cloud.url, "t0p", trust=trust)
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_authority_is_fetched_compared_and_kept(
    ours: TlsFolder, state: Path, host: str
) -> None:
    async with answering(FarSide.of(ours), host) as far:
        await enrolled(far, f"  {code_of(ours).upper()}\n", state)
        assert far.asked == ["authorities", "enroll"]
        assert far.codes == [SECRET]  # the server has no use for its own fingerprint
        pin = state / "cloud-ca.pem"
        assert pin.read_text() == ours.trusted.read_text()
        assert stat.S_IMODE(pin.stat().st_mode) == 0o600
        async with linked(config_of(state, far.url)) as link:
            assert (await link.claim(CLAIM)).lease_s == 9.0


async def test_of_several_that_are_told_only_the_one_of_the_code_is_kept(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    far = FarSide.of(ours)
    far.pem = theirs.trusted.read_text() + far.pem
    async with answering(far):
        await enrolled(far, code_of(ours), state)
    assert (state / "cloud-ca.pem").read_text() == ours.trusted.read_text()


async def test_somebody_between_with_an_authority_of_their_own_learns_no_code(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(theirs)) as far:
        with pytest.raises(WrongCloudError, match="somebody stands between; the code was not sent"):
            await enrolled(far, code_of(ours), state)
        assert far.asked == ["authorities"]
    assert not (state / "token").exists()
    assert not (state / "cloud-ca.pem").exists()


async def test_nor_does_one_that_passes_the_right_authority_on_and_shows_the_right_name(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    far = FarSide.of(theirs)
    far.pem = ours.trusted.read_text()
    async with answering(far):
        with pytest.raises(UntrustedError):
            await enrolled(far, code_of(ours), state)
        assert far.asked == ["authorities"]
    assert not (state / "token").exists()


async def test_nor_one_whose_certificate_says_that_ours_made_it(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    """A chain of the right names, in which the last signature is not of that key."""
    chain = theirs.server.read_text() + ours.trusted.read_text()
    theirs.server.write_text(chain)
    far = FarSide(server_context(theirs.server), ours.trusted.read_text())
    async with answering(far):
        with pytest.raises(UntrustedError):
            await enrolled(far, code_of(ours), state)
        assert far.codes == []


@pytest.mark.parametrize("cut", [1, 32, 63, 64])
async def test_a_code_with_half_a_fingerprint_is_no_code_without_one(
    ours: TlsFolder, state: Path, cut: int
) -> None:
    async with answering(FarSide.of(ours)) as far:
        with pytest.raises(ValueError, match="not whole"):
            await enrolled(far, code_of(ours)[:-cut], state)
        assert far.asked == []


async def test_a_code_of_another_cloud_is_not_sent(ours: TlsFolder, state: Path) -> None:
    async with answering(FarSide.of(ours)) as far:
        with pytest.raises(WrongCloudError, match=f"its authority has sha256 {far.told[0]}"):
            await enrolled(far, str(EnrolCode(SECRET, "0" * 64)), state)
        assert far.codes == []


def _endless() -> web.Response:
    return web.Response(body=b'{"pem": "' + b"A" * 10 * 2**20)


def _long() -> web.Response:
    return web.Response(body=b'{"pem": "' + b"A" * 100_000 + b'"}')


def _redirect() -> web.Response:
    return web.Response(status=302, headers={"Location": "/link/v1/claims"})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_endless, "too long"),
        (_long, "too long"),
        (_redirect, "302"),
        (lambda: said({"pem": "-----BEGIN CERTIFICATE-----\nMIIB"}), "no certificate"),
        (lambda: said({"pem": "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"}), "not whole"),
        (lambda: said({"pem": "x" * 20_000}), "not what was agreed"),
        (lambda: said({"pem": as_pem([b"1"] * 5)}), "5 certificates"),
        (lambda: said({"pem": as_pem([b"no certificate"])}), "is not the one of this code"),
        (lambda: said({"pem": 7}), "not what was agreed"),
        (lambda: said({"message": "not here"}, 404), "404"),
        (lambda: web.Response(body=b"<html>"), "not what was agreed"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_about_authorities_is_refused_and_no_code_is_sent(
    ours: TlsFolder, state: Path, answer: Callable[[], web.Response], words: str
) -> None:
    far = FarSide.of(ours)
    far.answer = answer
    async with answering(far):
        with pytest.raises(WrongCloudError, match=words):
            await enrolled(far, code_of(ours), state)
        assert far.asked == ["authorities"]


async def test_a_certificate_whose_end_is_cut_off_is_not_taken_for_the_whole(
    ours: TlsFolder, state: Path
) -> None:
    (whole,) = certificates_in(ours.trusted.read_text())
    far = FarSide.of(ours)
    far.pem = as_pem([whole[:-1]])
    async with answering(far):
        with pytest.raises(WrongCloudError):
            await enrolled(far, code_of(ours), state)
        assert far.codes == []


async def test_a_server_without_tls_is_not_told_the_code(ours: TlsFolder, state: Path) -> None:
    async with answering(FarSide(None, ours.trusted.read_text())) as far:
        with pytest.raises(WrongCloudError, match="does not begin with https"):
            await enrolled(far, code_of(ours), state)
        far.url = far.url.replace("http:", "https:")
        with pytest.raises(CloudError):
            await enrolled(far, code_of(ours), state)
        assert far.asked == []


async def test_by_a_name_that_its_certificate_has_not_the_cloud_is_not_known(
    ours: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours), "127.0.0.2") as far:
        with pytest.raises(UntrustedError, match="miner-cloud tls add-name"):
            await enrolled(far, code_of(ours), state)
        assert far.codes == []
        ours.add_names(("127.0.0.2",), NOW)
        far.context.load_cert_chain(ours.server)
        await enrolled(far, code_of(ours), state)


async def test_a_code_without_fingerprint_trusts_whom_this_host_trusts_and_leaves_no_pin(
    ours: TlsFolder, state: Path, tmp_path: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
        with pytest.raises(UntrustedError, match="ca_file"):
            await enrolled(far, SECRET, state)
        assert (state / "cloud-ca.pem").exists()  # it failed: nothing is another
        await enrolled(far, SECRET, state, ca_file=ours.trusted)
        assert not (state / "cloud-ca.pem").exists()
        assert "authorities" not in far.asked[2:]


async def test_a_file_that_was_named_has_to_hold_the_authority_of_the_code(
    ours: TlsFolder, theirs: TlsFolder, state: Path, tmp_path: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        with pytest.raises(WrongCloudError, match="does not hold the authority of this code"):
            await enrolled(far, code_of(ours), state, ca_file=theirs.trusted)
        assert far.asked == []
        both = tmp_path / "both.pem"
        both.write_text(theirs.trusted.read_text() + ours.trusted.read_text())
        await enrolled(far, code_of(ours), state, ca_file=both)
        assert far.asked == ["enroll"]
        assert not (state / "cloud-ca.pem").exists()


async def test_a_disk_that_cannot_be_written_uses_up_no_code(ours: TlsFolder, state: Path) -> None:
    state.mkdir()
    (state / "cloud-ca.pem").mkdir()
    async with answering(FarSide.of(ours)) as far:
        with pytest.raises(IsADirectoryError):
            await enrolled(far, code_of(ours), state)
        assert far.asked == []


async def test_a_cloud_that_shows_another_authority_afterwards_gets_no_token(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
        port = int(far.url.rpartition(":")[2])
    async with linked(config_of(state, far.url)) as link:
        async with answering(FarSide.of(theirs), port=port) as other:
            with pytest.raises(UntrustedError):
                await link.claim(CLAIM)
            with pytest.raises(UntrustedError):
                await link.heartbeat(BEAT)
            assert other.asked == []
        async with answering(FarSide.of(ours), port=port):
            assert (await link.claim(CLAIM)).lease_s == 9.0


async def test_an_agent_that_is_pinned_follows_its_cloud_to_another_authority(
    ours: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
        port = int(far.url.rpartition(":")[2])
    first = (state / "cloud-ca.pem").read_text()
    config = config_of(state, far.url)
    async with linked(config) as link:
        ours.rotate(NOW)
        async with answering(FarSide.of(ours), port=port):
            await link.heartbeat(BEAT)
            assert (state / "cloud-ca.pem").read_text() == ours.trusted.read_text()
            assert first in ours.trusted.read_text()
            ours.finish(NOW)
        async with answering(FarSide.of(ours), port=port) as far:
            await link.heartbeat(BEAT)
            assert (state / "cloud-ca.pem").read_text() == ours.trusted.read_text() != first
            far.asked.clear()
            await link.heartbeat(BEAT)
            assert far.asked == ["heartbeat"]


async def test_an_agent_that_was_off_meanwhile_follows_when_it_comes_back(
    ours: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
    ours.rotate(NOW)
    async with answering(FarSide.of(ours)) as far, linked(config_of(state, far.url)) as link:
        await link.heartbeat(BEAT)
    assert (state / "cloud-ca.pem").read_text() == ours.trusted.read_text()


async def test_a_chain_without_the_way_to_what_is_trusted_gets_no_token(
    ours: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
    ours.rotate(NOW)
    end = "-----END CERTIFICATE-----\n"
    ours.server.write_text(ours.server.read_text().partition(end)[0] + end)
    async with answering(FarSide.of(ours)) as far, linked(config_of(state, far.url)) as link:
        with pytest.raises(UntrustedError):
            await link.heartbeat(BEAT)
        assert far.asked == []


async def test_what_the_cloud_does_not_show_itself_is_not_followed(
    ours: TlsFolder, theirs: TlsFolder, state: Path
) -> None:
    """A mistake of the cloud's, which would leave the agent outside for good."""
    async with answering(FarSide.of(ours)) as far, linked(config_of(state, far.url)) as before:
        await enrolled(far, code_of(ours), state)
        await before.close()
        pinned = (state / "cloud-ca.pem").read_text()
        async with linked(config_of(state, far.url)) as link:
            for pem in (theirs.trusted.read_text(), as_pem([b"none"])):
                far.pem = pem
                await link.heartbeat(BEAT)
                assert (state / "cloud-ca.pem").read_text() == pinned
                assert (await link.claim(CLAIM)).lease_s == 9.0


async def test_a_file_of_the_config_is_never_written(
    ours: TlsFolder, state: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.pem"
    shutil.copy(ours.trusted, mine)
    before = mine.read_bytes()
    ours.rotate(NOW)
    async with (
        answering(FarSide.of(ours)) as far,
        linked(config_of(state, far.url, ca_file=str(mine))) as link,
    ):
        await link.heartbeat(BEAT)
        assert "authorities" not in far.asked
    assert mine.read_bytes() == before


async def test_a_pin_that_is_damaged_is_an_error_of_the_link_and_opens_no_door(
    ours: TlsFolder, state: Path
) -> None:
    async with answering(FarSide.of(ours)) as far:
        await enrolled(far, code_of(ours), state)
        (state / "cloud-ca.pem").write_text("damaged")
        async with linked(config_of(state, far.url)) as link:
            with pytest.raises(CloudError, match="cannot be used"):
                await link.claim(CLAIM)
            shutil.copy(ours.trusted, state / "cloud-ca.pem")
            assert (await link.claim(CLAIM)).lease_s == 9.0


async def test_firmware_from_the_cloud_itself_is_fetched_by_its_pin_and_none_from_others(
    ours: TlsFolder, state: Path, tmp_path: Path
) -> None:
    async with answering(FarSide.of(ours)) as far, answering(FarSide.of(ours)) as other:
        await enrolled(far, code_of(ours), state)
        loader = open_downloader(
            config_of(state, far.url).model_copy(
                update={"firmware": parse({"firmware": {"allowed": ["127.0.0.1"]}}).firmware}
            )
        )
        file = await loader.fetch(f"{far.url}/link/v1/image", tmp_path, cap_bytes=99, sha256=None)
        assert file.read_bytes() == b"firmware"
        with pytest.raises(UnreachableError, match="certificate is not trusted"):
            await loader.fetch(f"{other.url}/link/v1/image", tmp_path, cap_bytes=99, sha256=None)


def test_a_monitor_that_is_the_cloud_is_known_as_the_cloud(state: Path) -> None:
    state.mkdir()
    (state / "cloud-ca.pem").write_text("x")
    url = "https://cloud.example.net:8443"
    cloud = {"cloud": {"url": url}, "state": {"dir": str(state)}}
    same = parse({**cloud, "rigmonitor": {"url": f"{url}/"}})
    other = parse({**cloud, "rigmonitor": {"url": "https://monitor.example.net"}})
    own = parse({**cloud, "rigmonitor": {"url": url, "ca_file": "mine.pem"}})
    assert same.monitor_ca == state / "cloud-ca.pem"
    assert other.monitor_ca is None
    assert own.monitor_ca == Path("mine.pem")
