"""Two ends of TLS without a socket: does a client that trusts this take a server that shows that?"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path


def client_context(*trusted: Path) -> ssl.SSLContext:
    """A client that trusts what is in these files, as strict as Python 3.13 is by itself."""
    context = ssl.create_default_context(cafile=str(trusted[0]))
    for each in trusted[1:]:
        context.load_verify_locations(each)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def shake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bytes:
    """The certificate that the client took, in DER. Raises ssl.SSLError for one that it does not."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)

    def stepped(step: Callable[[], None]) -> bool:
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        return True

    for _ in range(10):
        near_done = stepped(near.do_handshake)
        far_done = stepped(far.do_handshake)
        if near_done and far_done:
            shown = near.getpeercert(binary_form=True)
            assert shown is not None
            return shown
    raise AssertionError("the handshake does not end")
