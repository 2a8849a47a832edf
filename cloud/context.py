"""What handlers find in the application: `request.app[STORE]` and so on."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cloud.config import CloudSettings
from cloud.firmware.images import Images
from cloud.link.files import Files
from cloud.link.sessions import Sessions
from cloud.link.wake_ups import WakeUps
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import Store
from cloud.store.growth import Growth
from cloud.sweeper import Sweeper
from cloud.tls.public import OwnAuthorities
from contract.clock import Clock

STORE: Final = web.AppKey("store", Store)
SETTINGS: Final = web.AppKey("settings", CloudSettings)
CLOCK: Final[web.AppKey[Clock]] = web.AppKey("clock", Clock)
TIME: Final = web.AppKey("time", CloudTime)
WAKE_UPS: Final = web.AppKey("wake_ups", WakeUps)
SESSIONS: Final = web.AppKey("sessions", Sessions)
GROWTH: Final = web.AppKey("growth", Growth)
FILES: Final = web.AppKey("files", Files)
IMAGES: Final = web.AppKey("images", Images)
SWEEPER: Final = web.AppKey("sweeper", Sweeper)
AUTHORITIES: Final = web.AppKey("authorities", OwnAuthorities)
