"""Putting the cloud together: one application, one process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import web

from cloud import link_api
from cloud.auth import operator_auth
from cloud.config import CloudSettings
from cloud.context import CLOCK, FILES, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.errors import error_middleware, json_response
from cloud.files import Files
from cloud.link_api import agent_auth
from cloud.nonce import routes as nonce_routes
from cloud.queue import WakeUps
from cloud.rigmonitor import routes as rig_routes
from cloud.rigmonitor.replies import machine_errors
from cloud.sessions import Sessions
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import Store, sqlite_url
from cloud.store.migrate import migrate
from cloud.sweeper import Sweeper
from contract.clock import Clock, SystemClock

log = structlog.get_logger(__name__)


def create_app(store: Store, settings: CloudSettings, clock: Clock) -> web.Application:
    """The whole cloud over a migrated store. It sweeps while it runs; closing the store is the caller's."""
    app = web.Application(
        middlewares=[error_middleware, operator_auth, agent_auth, machine_errors],
        client_max_size=settings.operator_body_bytes,
    )
    app[STORE] = store
    app[SETTINGS] = settings
    app[CLOCK] = clock
    app[TIME] = CloudTime(store, clock, write_every_s=settings.persist_every_s)
    app[WAKE_UPS] = WakeUps()
    app[SESSIONS] = Sessions(clock, app[TIME], offline_after_s=settings.offline_after_s)
    app[FILES] = Files(settings.data, days=settings.files_days, base_url=settings.public_url or "")
    link_api.add_routes(app)
    nonce_routes.add_routes(app)
    rig_routes.add_routes(app)
    app.router.add_get("/health", _health)
    app.cleanup_ctx.append(_sweeping)
    return app


def create_runner(app: web.Application) -> web.AppRunner:
    """How the application is run: what a client still sends after its refusal is read for a moment only, and a stop
    does not wait for long polls.
    """
    return web.AppRunner(app, access_log=None, shutdown_timeout=2.0, lingering_time=2.0)


async def serve(
    settings: CloudSettings,
    *,
    ready: Callable[[str], None],
    stop: Callable[[], Awaitable[object]],
) -> None:
    """Migrate, listen, call `ready(url)`, and go on until `stop()` returns. Raises OSError when it cannot listen."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = sqlite_url(settings.data)
    await asyncio.to_thread(migrate, url)
    store = Store.at(url)
    app = create_app(store, settings, SystemClock())
    runner = create_runner(app)
    try:
        await runner.setup()
        site = web.TCPSite(
            runner, settings.host, settings.port, ssl_context=_tls(settings), backlog=1024
        )
        await site.start()
        listening = _url(settings, runner.addresses[0][1])
        app[FILES].base_url = (settings.public_url or listening).rstrip("/")
        log.info("cloud.ready", url=listening)
        ready(listening)
        await stop()
    finally:
        await runner.cleanup()
        await store.close()


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    await app[TIME].advance()  # nothing is answered before it is known
    sweeper = Sweeper(
        app[STORE], app[FILES], app[SESSIONS], app[WAKE_UPS], app[SETTINGS], app[CLOCK], app[TIME]
    )
    task = asyncio.create_task(sweeper.run(), name="sweeper")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _health(_request: web.Request) -> web.Response:
    return json_response({"ok": True})


def _tls(settings: CloudSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def _url(settings: CloudSettings, port: int) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(settings.host, settings.host)
    return f"{scheme}://{host}:{port}"
