"""Putting the cloud together: one application, one process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import structlog
from aiohttp import web

from cloud.assets import parts, proposals, ranges
from cloud.config import CloudSettings
from cloud.context import (
    AUTHORITIES,
    CLOCK,
    FILES,
    GROWTH,
    IMAGES,
    SESSIONS,
    SETTINGS,
    STORE,
    SWEEPER,
    TIME,
    WAKE_UPS,
)
from cloud.firmware import library, serving
from cloud.firmware.images import Images
from cloud.http.auth import operator_auth
from cloud.http.errors import error_middleware, json_response
from cloud.http.listener import CloudListener, connection_options, connections_within
from cloud.link import api, file_api, ledger_api
from cloud.link.api import agent_auth
from cloud.link.files import Files
from cloud.link.sessions import Sessions
from cloud.link.wake_ups import WakeUps
from cloud.nonce import (
    audit,
    batches,
    groups,
    miners,
    places,
    selections,
    sites,
    status,
    subscriptions,
    tasks,
    undo,
)
from cloud.release import api as release_api
from cloud.release.renewal import Renewal
from cloud.rigmonitor import machines, operators, playbooks, rig_machines
from cloud.rigmonitor.inbox import INBOX, Inbox, inbox_closed
from cloud.rigmonitor.limiter import BULK_LIMITER, LIMITER, Limiter
from cloud.rigmonitor.replies import machine_errors
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import LOCK_NAME, Store, prepare
from cloud.store.growth import Growth
from cloud.store.schema.migrate import migrate
from cloud.sweeper import Sweeper
from cloud.tls.folder import TlsFolder
from cloud.tls.keeper import TlsKeeper, server_context
from cloud.tls.public import OwnAuthorities, is_tls_begun
from cloud.updates import orders, shown
from cloud.watchdog import feed
from contract.clock import Clock, SystemClock
from contract.hosts import is_loopback
from service.files import FolderLock
from service.hostuser import acting_as_owner
from service.limits import raise_open_files, settle_memory
from service.notify import Notifier

# Which path leads where is said beside the handlers.
_ROUTES: Final = (
    *api.ROUTES,
    *file_api.ROUTES,
    *release_api.ROUTES,
    *serving.ROUTES,
    *library.ROUTES,
    *ledger_api.ROUTES,
    *sites.ROUTES,
    *status.ROUTES,
    *places.ROUTES,
    *parts.ROUTES,
    *proposals.ROUTES,
    *ranges.ROUTES,
    *tasks.ROUTES,
    *batches.ROUTES,
    *audit.ROUTES,
    *groups.ROUTES,
    *undo.ROUTES,
    *orders.ROUTES,
    *shown.ROUTES,
    *selections.ROUTES,
    *subscriptions.ROUTES,
    *machines.ROUTES,
    *rig_machines.ROUTES,
    *operators.ROUTES,
    *playbooks.ROUTES,
    *miners.ROUTES,  # last: what stands in the place of an id, as in miners/places, is no id
)
log = structlog.get_logger(__name__)


def create_app(store: Store, settings: CloudSettings, clock: Clock) -> web.Application:
    """The whole cloud over a migrated store. It sweeps while it runs; closing the store is the caller's."""
    app = web.Application(
        middlewares=[error_middleware, operator_auth, agent_auth, machine_errors],
        client_max_size=settings.operator_body_bytes,
        handler_args=connection_options(settings),
    )
    app[STORE] = store
    app[SETTINGS] = settings
    app[CLOCK] = clock
    app[TIME] = CloudTime(store, clock, write_every_s=settings.persist_every_s)
    app[GROWTH] = Growth(clock, settings)
    app[WAKE_UPS] = WakeUps()
    app[SESSIONS] = Sessions(clock, app[TIME], offline_after_s=settings.offline_after_s)
    app[FILES] = Files(settings.data, days=settings.files_days, base_url=settings.public_url or "")
    app[AUTHORITIES] = OwnAuthorities()
    app[IMAGES] = Images(settings.data)
    app[SWEEPER] = Sweeper(
        store, app[FILES], app[IMAGES], app[SESSIONS], app[WAKE_UPS], settings, clock, app[TIME]
    )
    app[LIMITER] = Limiter(clock, per_s=settings.rig_calls_per_s, burst=settings.rig_calls_burst)
    app[BULK_LIMITER] = Limiter(
        clock,
        per_s=settings.rig_bulk_calls_per_s,
        burst=max(1, int(settings.rig_bulk_calls_per_s)),
    )
    app[INBOX] = Inbox(store, settings, clock)
    app.router.add_routes(_ROUTES)
    app.router.add_get("/health", _health)
    app.cleanup_ctx.append(inbox_closed)
    app.cleanup_ctx.append(_sweeping)
    return app


def create_runner(app: web.Application) -> web.AppRunner:
    """How the application is run: a stop does not wait for long polls."""
    return web.AppRunner(app, shutdown_timeout=2.0)


async def serve(
    settings: CloudSettings,
    *,
    ready: Callable[[str], None],
    stop: Callable[[], Awaitable[object]],
    notifier: Notifier | None = None,
) -> None:
    """Migrate, listen, call `ready(url)`, and go on until `stop()` returns.

    Raises FolderLockedError when the data directory is served already, OSError when it cannot listen, TlsError when its
    own certificates cannot be used.
    """
    # Its key may be root's alone.
    given = server_context(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
    with acting_as_owner(settings.data):
        url = prepare(settings.data, make=True)
        lock = FolderLock(
            settings.data / LOCK_NAME,
            f"another miner-cloud serves {settings.data}: stop it first, or wait while it stops",
        )
        lock.take()
        try:
            await asyncio.to_thread(migrate, url)
            await _serve(settings, url, ready, stop, notifier or Notifier(), given)
        finally:
            lock.release()
    log.info("cloud.stopped")


async def _serve(
    settings: CloudSettings,
    database: str,
    ready: Callable[[str], None],
    stop: Callable[[], Awaitable[object]],
    notifier: Notifier,
    context: ssl.SSLContext | None,
) -> None:
    store, clock = Store.at(database), SystemClock()
    app = create_app(store, settings, clock)
    runner = create_runner(app)
    keeper = TlsKeeper(TlsFolder(settings.data), clock, app[AUTHORITIES])
    try:
        if settings.own_tls:
            context = keeper.open()
        elif is_tls_begun(settings.data):
            log.warning(
                "tls.not_shown",
                hint="codes of miner-cloud enroll-code name an authority whose certificate is not shown here: make "
                "them with --public-certificate",
            )
        await runner.setup()
        most = connections_within(raise_open_files(), settings)
        listener = CloudListener(
            runner,
            settings.host,
            settings.port,
            settings,
            most=most,
            ssl_context=context,
        )
        await listener.start()
        listening = _url(settings, settings.host, listener.port)
        outside = settings.public_url or _url(
            settings, keeper.first_name or settings.host, listener.port
        )
        app[FILES].base_url = outside
        if outside == listening and (settings.proxies or not is_loopback(settings.host)):
            log.warning(
                "cloud.no_public_url",
                links=listening,
                hint="give --public-url, the address by which others reach this server: links to files begin with it",
            )
        async with AsyncExitStack() as beside:
            await beside.enter_async_context(
                _running(feed(notifier, app[SWEEPER], clock), "watchdog")
            )
            if settings.own_tls:
                await beside.enter_async_context(_running(keeper.run(listener.show), "tls"))
            renewal = Renewal(settings.data, clock)
            await beside.enter_async_context(_running(renewal.run(), "release renewal"))
            log.info("cloud.ready", url=listening, connections_max=most)
            settle_memory()
            ready(listening)
            notifier.ready(f"listens on {listening}")
            await stop()
            log.info("cloud.stopping")
            notifier.stopping()
    finally:
        await runner.cleanup()
        await store.close()


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    await app[TIME].advance()  # nothing is answered before it is known
    await app[SESSIONS].look_back(app[STORE])
    async with _running(app[SWEEPER].run(), "sweeper"):
        yield


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Something of ours goes on beside this block."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _health(_request: web.Request) -> web.Response:
    return json_response({"ok": True})


def _url(settings: CloudSettings, host: str, port: int) -> str:
    scheme = "https" if settings.speaks_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
