"""`miner-cloud release`: the keys of releases, signing them offline, publishing them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cloud.cli.terminal import AsJson, Data, fail, guarded, now, say

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key

    from cloud.release.offline import OfflineRepository

T = TypeVar("T")
releases = typer.Typer(no_args_is_help=True, help="Releases: keys, signing, publishing.")

Folder = Annotated[
    Path, typer.Option("--folder", help="Where releases are signed: roots, targets and bundles.")
]
Keys = Annotated[
    list[Path], typer.Option("--keys", help="Folder of private keys; may be given several times.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="Holds the passphrase of the keys; else it is asked for."
    ),
]
Online = Annotated[
    Path | None,
    typer.Option("--online", help="Public keys of the control plane, as `keygen` wrote them."),
]


@releases.command("keygen")
def keygen(
    keys: Annotated[
        Path | None, typer.Option("--keys", help="New folder for the offline keys.")
    ] = None,
    root: Annotated[int, typer.Option(min=1, max=16, help="Keys of root.")] = 1,
    targets: Annotated[int, typer.Option(min=1, max=16, help="Keys of targets.")] = 1,
    passphrase_file: PassphraseFile = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt them: the folder is kept safe.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Make the control plane's own keys in this directory instead."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make keys: of root and targets (--keys, offline), or of snapshot and timestamp (--data, on the control plane)."""
    if (keys is None) == (data is None):
        fail(
            "give either --keys, on a machine without a network, or --data, on the control plane", 2
        )
    if data is not None:
        _online_keys(data, as_json)
        return
    assert keys is not None
    folder = keys
    words = None if plain else _new_passphrase(passphrase_file)

    def make() -> dict[str, str]:
        from cloud.release.keys import make_key, public_text

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = [f"root-{number + 1}" for number in range(root)]
        names += [f"targets-{number + 1}" for number in range(targets)]
        return {name: public_text(make_key(folder / f"{name}.pem", words)) for name in names}

    made = guarded(make)
    lines = [f"{name} {public}" for name, public in made.items()]
    say(made, "\n".join(lines), as_json)


@releases.command("rotate-root")
def rotate_root(
    folder: Folder,
    keys: Keys,
    old_keys: Annotated[
        list[Path] | None,
        typer.Option("--old-keys", help="Folder of the root keys that are replaced."),
    ] = None,
    online: Online = None,
    root_threshold: Annotated[int, typer.Option(min=1, max=16)] = 1,
    targets_threshold: Annotated[int, typer.Option(min=1, max=16)] = 1,
    passphrase_file: PassphraseFile = None,
    old_passphrase_file: Annotated[
        Path | None,
        typer.Option("--old-passphrase-file", help="That of the replaced keys, if it is another."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign the next root: which keys are good from now on. The first one begins a repository."""
    asked = _asking(passphrase_file)

    def rotate() -> int:
        from cloud.release.keys import signers_of
        from cloud.release.offline import OfflineRepository, RootKeys

        named = RootKeys(
            signers_of("root", keys, asked),
            signers_of("targets", keys, asked),
            None if online is None else _online_of(online),
            root_threshold,
            targets_threshold,
        )
        asked_old = _asking(old_passphrase_file or passphrase_file)
        old = signers_of("root", old_keys or [], asked_old)
        return OfflineRepository(folder).rotate_root(named, old, now())

    version = guarded(rotate)
    words = f"root {version} signed; "
    if version == 1:
        words += f"agents trust {folder}/metadata/1.root.json first: packages are built with it as release/root.json"
    else:
        words += f"publish {folder} next"
    say({"root": version}, words, as_json)


@releases.command("sign")
def sign(
    folder: Folder,
    keys: Keys,
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(help="Bundles to offer; none: what is offered lives on."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Check bundles and sign them."""
    found = _signed(
        folder, keys, passphrase_file, lambda offline, by: offline.sign(bundles or [], by, now())
    )
    names = [each.file_name for each in found]
    say({"signed": names}, "\n".join(names) or "signed again; nothing was added", as_json)


@releases.command("promote")
def promote(
    channel: Annotated[str, typer.Argument(help="stable or canary.")],
    version: str,
    folder: Folder,
    keys: Keys,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a signed version the newest of a channel."""
    platforms = _signed(
        folder,
        keys,
        passphrase_file,
        lambda offline, by: offline.promote(channel, version, by, now()),
    )
    document = {"channel": channel, "version": version, "platforms": platforms}
    say(document, f"{channel} is {version} for {', '.join(platforms)}; publish next", as_json)


@releases.command("drop")
def drop(
    version: str,
    folder: Folder,
    keys: Keys,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Offer a version no longer."""
    gone = _signed(
        folder, keys, passphrase_file, lambda offline, by: offline.drop(version, by, now())
    )
    say({"dropped": gone}, "\n".join(gone), as_json)


@releases.command("signature")
def signature(
    bundle: Path,
    key: Annotated[Path, typer.Option("--key", help="Private key, PEM.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """The signature of one bundle by itself, as `agent.self.update` takes it beside a `binary_url`."""
    asked = _asking(passphrase_file)

    def made() -> str:
        from cloud.release.keys import read_signer
        from release.bundle import check_bundle
        from release.refusals import ReleaseRefusedError

        try:
            with bundle.open("rb") as file:
                check_bundle(file)
        except ReleaseRefusedError as error:
            raise ValueError(f"{bundle}: {error}") from None
        return str(read_signer(key, asked).sign(bundle.read_bytes()).signature)

    text = guarded(made)
    say({"signature": text}, text, as_json)


@releases.command("publish")
def publish(
    folder: Annotated[Path, typer.Argument(help="Where releases were signed, or a copy of it.")],
    data: Data,
    as_json: AsJson = False,
) -> None:
    """Show what was signed: checked as an agent would, with fresh snapshot and timestamp."""

    def work() -> int:
        from cloud.release.online import OnlineRepository
        from service.hostuser import acting_as_owner, myself

        with acting_as_owner(data):
            try:
                return OnlineRepository(data).publish(folder, now())
            except PermissionError as error:
                if error.filename is None or not Path(error.filename).is_relative_to(folder):
                    raise
                words = f"cannot be read by {myself().name}, whose {data} is"
                fix = f"copy {folder} to where that user can, such as /srv"
                raise PermissionError(error.errno, f"{words}: {fix}", error.filename) from None

    version = guarded(work)
    say({"targets": version}, f"targets {version} published", as_json)


@releases.command("renew")
def renew(data: Data, as_json: AsJson = False) -> None:
    """Sign snapshot and timestamp again where they are due: for a repository that another web server gives."""

    def work() -> bool:
        from cloud.release.online import OnlineRepository
        from service.hostuser import acting_as_owner

        with acting_as_owner(data):
            return OnlineRepository(data).renew(now())

    is_new = guarded(work)
    say({"renewed": is_new}, "renewed" if is_new else "nothing is due", as_json)


def _signed(
    folder: Path,
    keys: Sequence[Path],
    passphrase_file: Path | None,
    work: Callable[[OfflineRepository, list[CryptoSigner]], T],
) -> T:
    """What the keys of targets are needed for."""
    asked = _asking(passphrase_file)

    def run() -> T:
        from cloud.release.keys import signers_of
        from cloud.release.offline import OfflineRepository

        return work(OfflineRepository(folder), signers_of("targets", keys, asked))

    return guarded(run)


def _online_keys(data: Path, as_json: bool) -> None:
    def work() -> dict[str, str]:
        import msgspec

        from cloud.release.online import OnlineRepository
        from service.hostuser import acting_as_owner

        with acting_as_owner(data):
            found: dict[str, str] = msgspec.to_builtins(OnlineRepository(data).make_keys())
        return found

    made = guarded(work)
    say(made, "\n".join(f"{name} {public}" for name, public in made.items()), as_json)


def _online_of(path: Path) -> dict[str, Key]:
    """The file is what `keygen --data --json` printed."""
    import msgspec

    from cloud.release.keys import PublicKeys, public_key

    try:
        found = msgspec.json.decode(path.read_bytes(), type=PublicKeys)
        return {"snapshot": public_key(found.snapshot), "timestamp": public_key(found.timestamp)}
    except ValueError as error:
        raise ValueError(
            f"{path} is not what `keygen --data DATA --json` printed: {error}"
        ) from None


def _asking(path: Path | None) -> Callable[[Path], bytes]:
    """The passphrase of a key file, once for all of its folder."""
    known: dict[Path, bytes] = {}

    def ask(key: Path) -> bytes:
        if key.parent not in known:
            known[key.parent] = _from_file(path) if path else _prompted(f"Passphrase of {key}")
        return known[key.parent]

    return ask


def _new_passphrase(path: Path | None) -> bytes:
    return _from_file(path) if path else _prompted("New passphrase", confirm=True)


def _prompted(words: str, *, confirm: bool = False) -> bytes:
    if not sys.stdin.isatty():
        fail("give --passphrase-file: there is no terminal to ask on", 2)
    text: str = typer.prompt(words, hide_input=True, confirmation_prompt=confirm, err=True)
    return text.encode()


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096).rstrip(b"\r\n")
    except OSError as error:
        fail(f"--passphrase-file {path} cannot be read: {(error.strerror or '').lower()}", 2)
    if mode & 0o007:
        fail(
            f"--passphrase-file {path}: everybody on this host can read it; run: chmod 0600 {path}",
            2,
        )
    return text
