"""The two hosts on a cable are what tests of silence take them for."""

from __future__ import annotations

import sys

from tests.namespaces import joined

_ASK = """
import socket, sys
for ip in sys.argv[1:]:
    sock = socket.socket()
    sock.settimeout(0.3)
    try:
        sock.connect((ip, 4028))
    except TimeoutError:
        print("silent")
    except ConnectionRefusedError:
        print("refused")
    else:
        print("open")
    sock.close()
"""
_SERVE = """
import socket
server = socket.create_server(("", 4028))
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""


def test_what_has_an_address_answers_and_all_else_is_silent() -> None:
    with joined(live=["10.77.1.5", "10.78.0.16/28"], routed=["10.78.0.0/24"]) as cable:
        hosts = ("10.77.1.5", "10.78.0.20", "10.77.1.6", "10.78.0.40")
        asked = cable.near.run(sys.executable, "-c", _ASK, *hosts)
        assert asked.stdout.split() == ["refused", "refused", "silent", "silent"]
        serving = cable.far.start(sys.executable, "-c", _SERVE, stdout=-1)
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        asked = cable.near.run(sys.executable, "-c", _ASK, *hosts[:2])
        assert asked.stdout.split() == ["open", "open"]
        serving.stdout.close()
        held = cable.near.neighbours()
        assert "10.77.1.6" in held
        assert "10.78.0.40" not in held
        assert held["10.77.1.5"] != "FAILED"
        cable.near.fill_neighbours(20)
        assert sum(each == "STALE" for each in cable.near.neighbours().values()) >= 20
