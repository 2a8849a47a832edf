"""Updates of the agent itself, as its tasks see them: whether there are any here, staging, and root's installer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent.config.file import Config
from agent.limits.policy import Policy
from agent.ports import Downloader
from agent.update.managed import NO_ROOT, ReleaseHost, unmanaged
from agent.update.root_installer import RootInstaller
from contract.clock import Clock
from contract.errors import BusyError, PolicyRefusedError, RefusedError, UnsupportedError
from contract.task import SelfUpdateParams
from release.handover import ASKED_IN, STAGED_IN
from release.host import built_at, host_platform
from release.refusals import ReleaseRefusedError
from service.install.own import OwnRelease
from service.install.release import Stamp

if TYPE_CHECKING:
    from agent.update.staging import StagedRelease, Staging

_ROOTLESS: Final = (
    f"{NO_ROOT}: order it with binary_url and signature, or install on its host a package that was built with "
    "release/root.json"
)


class Updates:
    """Built once per process: which release it is does not change while it runs."""

    def __init__(
        self,
        config: Config,
        downloader: Downloader,
        policy: Callable[[], Policy],
        clock: Clock,
        host: ReleaseHost,
    ) -> None:
        """`downloader` is that of firmware, and trusts the servers that it trusts."""
        self._config = config
        self._downloader = downloader
        self._policy = policy
        self._clock = clock
        self._host = host
        self._folder = config.state.dir / ASKED_IN
        self._staging: Staging | None = None
        self.own = host.own()
        self.installer = RootInstaller(config.state.dir, host.update_folder, host.root_uid)

    def check(self, order: SelfUpdateParams) -> OwnRelease:
        """What runs here, and could be replaced as ordered. Raises UnsupportedError, PolicyRefusedError. Blocks."""
        enabled, state = self._config.update.enabled, self._config.state.dir
        why = unmanaged(self._host, self.own, state, enabled=enabled)
        if why is not None or self.own is None:
            raise UnsupportedError(why or "This agent is no release.")
        if order.binary_url is not None and not self._config.update.keys:
            raise PolicyRefusedError(
                "This site pins no key that a bundle could be signed with: set keys in [update], or order a version of "
                "the repository"
            )
        if order.binary_url is None and self._host.root() is None:
            raise UnsupportedError(_ROOTLESS)
        if order.binary_url is None and self._config.releases_url is None:
            raise UnsupportedError("No repository of releases is known here: set url in [update]")
        return self.own

    def check_free(self, task: str) -> None:
        """Raises BusyError while root's installer has to do with another order. Blocks."""
        busy = self.installer.busy_with(task)
        if busy is not None:
            raise BusyError(f"Another update is under way: {busy}. Nothing was asked for.")

    async def stage(self, order: SelfUpdateParams, own: OwnRelease) -> StagedRelease | None:
        """What `Staging.stage` gives, and raises, but for a release that is refused: RefusedError, whose text begins
        with the reason.
        """
        if self._staging is None:
            self._staging = await asyncio.to_thread(self._opened, own)
        try:
            return await self._staging.stage(order)
        except ReleaseRefusedError as error:
            raise RefusedError(f"{error.reason}: {error}") from None

    def drop_staged(self, version: str) -> None:
        """It has served its purpose, or can serve none any more: its room is given back. Blocks."""
        shutil.rmtree(self._folder / STAGED_IN / version, ignore_errors=True)

    def now(self) -> OwnRelease | None:
        """What this process is, and whether its release is proven by now. Blocks."""
        fresh = self._host.own()
        return self.own if fresh is None or fresh.sha256 != (self.own or fresh).sha256 else fresh

    def _opened(self, own: OwnRelease) -> Staging:
        """Raises UnsupportedError. Blocks."""
        # only now: what verifies releases takes time and memory to load
        from agent.update.staging import ReleaseSource, Staging
        from release.signature import public_key_of
        from release.verification import Anchors, Installed

        section, stamp = self._config.update, Stamp.read(own.place)
        platform = host_platform(self._host.os_release, self._host.machine)
        if stamp is None or platform is None:
            raise UnsupportedError(
                "The release that runs here, or its host, cannot be told any more"
            )
        source = ReleaseSource(
            self._config.releases_url or "",
            section.channel,
            Anchors(self._host.root() or b"", tuple(map(public_key_of, section.keys))),
            Installed(own.version, platform, built_at(stamp)),
        )
        return Staging(self._folder, source, self._downloader, self._policy, self._clock)
