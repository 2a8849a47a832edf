"""One transaction bit by bit, as the official SDK makes and signs it: versions and digests in it are invented."""

from __future__ import annotations

import base64

from agent.subscriptions.sui.keys import key_of
from agent.subscriptions.sui.transaction import MoveCall, ObjectRef, SharedRef, SuiTransaction
from contract.subscription.ids import parse_digest, parse_object_id

SECRET = (
    "suiprivkey1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzv2p29shrqv35xcur50p74yefn7"  # of the bytes 0 to 31
)
ADDRESS = "0x160179a1565ea7cff27ead23f54cc7f50893bf58155cd7285156e57afa31c3ac"
PACKAGE = parse_object_id("0x8903298ba49a8e83d438e014b2cfd18404324f3a0274b9507b520d5745b85208")
DATABASE = SharedRef(
    parse_object_id("0x02920289f426dd1f3c2572d613f7dc92be95041720864a73d44d65585530efc5"),
    215431337,
)
BADGE = ObjectRef(
    parse_object_id("0x268e6af9502dcdcaf514bb699c880b37fa1e8d339293bc4f331f2dde54180600"),
    349180123,
    parse_digest("A9yaf7hxQtr8QrxPTtyGz9pUkKUVdRMnZFHdhQ5w8Myj"),
)
COIN = ObjectRef(
    parse_object_id("0x789"),
    349180124,
    parse_digest("4E1ZwTHKmXrZ2J57HCQXNqrVEF7R4MevPqL74pQdVCih"),
)
DATA = base64.b64decode(
    "AAAFAQECkgKJ9CbdHzwlctYT99ySvpUEFyCGSnPUTWVYVTDvxak41wwAAAAAAQEAJo5q+VAtzcr1FLtpnIgLN/oejTOSk7xPMx8t3lQYBgDbENAU"
    "AAAAACCIBc3qKxl99f1VXcNZp/W+7S5tZd5JjOPfPelNeOHiYgAIewAAAAAAAAAACAoAAAAAAAAAAAhkAAAAAAAAAAEAiQMpi6SajoPUOOAUss/R"
    "hAQyTzoCdLlQe1INV0W4UggCZGIWc3Vic2NyaWJlX25vZGVfdG9fdGFzawAFAQAAAQEAAQIAAQMAAQQAFgF5oVZep8/yfq0j9UzH9QiTv1gVXNco"
    "UVblevoxw6wBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB4ncENAUAAAAACAv6EDhMkSp10iINXTB8bex1wIOs50HNbj5HvXPbzUXPhYB"
    "eaFWXqfP8n6tI/VMx/UIk79YFVzXKFFW5Xr6McOs6AMAAAAAAACA8PoCAAAAAAA="
)
SIGNATURE = base64.b64decode(
    "AJwPqeJGKnrFFCnh1lIuWJO/ItI6OhJompkuU/FJKV2Js+waYWfjjJuz0DIhyXFq/HqCkd+ZqeUbMNpaM6eBbQYDoQe/884Qvh1w3RjnS8CZZ+TW"
    "MJulDV8d3IZkElUxuA=="
)
DIGEST = "3tE1MEjrhsavKV1UUobKKhTDmPq5iELaEDGwWEeSfLXA"


def golden(*calls: MoveCall) -> SuiTransaction:
    """The golden transaction, or one of other calls that is paid for alike."""
    key = key_of(SECRET)
    assert key is not None
    subscribe = MoveCall(PACKAGE, "db", "subscribe_node_to_task", (DATABASE, BADGE, 123, 10, 100))
    return SuiTransaction(key.address, calls or (subscribe,), COIN, 1000, 50_000_000)
