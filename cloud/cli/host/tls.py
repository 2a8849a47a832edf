"""`miner-cloud tls`: the certificates that a cloud makes for itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cloud.cli.terminal import AsJson, Data, fail, guarded, now, say, with_store

if TYPE_CHECKING:
    from cloud.tls.certificates import Authority, ServerCertificate
    from cloud.tls.folder import TlsFolder

_NAMED: Final = 10  # agents in one refusal
tls = typer.Typer(
    no_args_is_help=True,
    help="Certificates of the cloud's own making, which serve shows and renews.",
)
Names = Annotated[
    list[str],
    typer.Option("--name", help="Name or address by which agents and operators reach it; repeat."),
]


@tls.command("init")
def tls_init(name: Names, data: Data, as_json: AsJson = False) -> None:
    """Make an authority and a certificate for these names. `serve` uses them from its next start on."""
    names = _checked(name)
    _say(
        data,
        lambda folder: folder.init(names, now()),
        as_json,
        "serve shows it from its next start on",
    )


@tls.command("show")
def tls_show(data: Data, as_json: AsJson = False) -> None:
    """What is shown to whom, with fingerprints and dates. Changes nothing."""
    _say(data, lambda folder: (folder.authority(), folder.shown()), as_json)


@tls.command("add-name")
def tls_add_name(
    name: Annotated[list[str], typer.Argument(help="Names or addresses.")],
    data: Data,
    as_json: AsJson = False,
) -> None:
    """A new certificate, for these names too. A server that runs shows it within seconds."""
    names = _checked(name)
    _say(data, lambda folder: folder.add_names(names, now()), as_json)


@tls.command("rotate-ca")
def tls_rotate_ca(
    data: Data,
    finish: Annotated[
        bool, typer.Option("--finish", help="Trust the former authority no more.")
    ] = False,
    leave_behind: Annotated[
        bool,
        typer.Option(
            "--leave-behind",
            help="Finish although agents were not online since: each of them needs a new code.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put another authority in the place of the one there is. Agents that are pinned to the former follow by
    themselves, whenever they come; until --finish both are trusted.
    """
    if finish and not leave_behind and (away := _away(data)):
        fail(
            f"{len(away)} agents were not online since the takeover, and would know this cloud no more: "
            f"{', '.join(away[:_NAMED])}; wait for them, revoke them, or add --leave-behind",
            1,
        )
    _say(data, lambda folder: folder.finish(now()) if finish else folder.rotate(now()), as_json)


def _away(data: Path) -> list[str]:
    """The agents, in words, that cannot have heard of the authority of today."""
    from cloud.store.access.admin import list_agents
    from cloud.store.engine import DATABASE_NAME
    from cloud.tls.folder import TlsFolder
    from service.hostuser import acting_as_owner

    def made_at() -> datetime:
        with acting_as_owner(data):
            return TlsFolder(data).authority().made_at + timedelta(seconds=1)

    since = guarded(made_at)
    if not (data / DATABASE_NAME).exists():
        return []
    return [
        f"{each['name']} ({each['id']})"
        for each in with_store(data, lambda store: list_agents(store, None))
        if each["enrolled"]
        and each["revoked_at"] is None
        and (each["last_online_at"] is None or each["last_online_at"] <= since)
    ]


def _checked(names: list[str]) -> tuple[str, ...]:
    from cloud.tls.certificates import checked_name

    try:
        return tuple(dict.fromkeys(map(checked_name, names)))
    except ValueError as error:
        fail(str(error), 2)


def _say(
    data: Path,
    work: Callable[[TlsFolder], tuple[Authority, ServerCertificate]],
    as_json: bool,
    *next_steps: str,
) -> None:
    """Do it as the owner of the data directory, and say what is there then, to people also what comes next."""
    from cloud.tls.folder import TlsFolder
    from service.hostuser import acting_as_owner

    folder = TlsFolder(data)

    def both() -> tuple[Authority, ServerCertificate]:
        with acting_as_owner(data):
            return work(folder)

    authority, shown = guarded(both)
    words = "\n".join((_in_words(folder, authority, shown), *next_steps))
    say(_document(folder, authority, shown), words, as_json)


def _document(folder: TlsFolder, authority: Authority, shown: ServerCertificate) -> dict[str, Any]:
    from cloud.tls.certificates import print_of

    return {
        "ca_file": str(folder.trusted),
        "authorities": [
            {"sha256": print_of(each), "until": each.not_valid_after_utc}
            for each in authority.trusted
        ],
        "certificate": {
            "sha256": print_of(shown.certificate),
            "until": shown.certificate.not_valid_after_utc,
            "names": list(shown.names),
        },
    }


def _in_words(folder: TlsFolder, authority: Authority, shown: ServerCertificate) -> str:
    from cloud.tls.certificates import print_of

    first, *former = authority.trusted
    end = shown.certificate.not_valid_after_utc
    lines = [f"authority    sha256 {print_of(first)}, until {first.not_valid_after_utc:%Y-%m-%d}"]
    lines += [
        f"former       sha256 {print_of(each)}, trusted until rotate-ca --finish" for each in former
    ]
    lines += [
        f"certificate  sha256 {print_of(shown.certificate)}, until {end:%Y-%m-%d}; serve renews it",
        f"names        {', '.join(shown.names)}",
        f"for clients  {folder.trusted} (--cacert of curl, MINER_CLOUD_CA_FILE)",
    ]
    return "\n".join(lines)
