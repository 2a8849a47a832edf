"""How a command ends: with its answer on the terminal, and its exit code."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any, Final, NoReturn

import typer

from service.streams import lead_nowhere, stand_in

Ended = tuple[int, dict[str, Any], str]
"""An exit code, the JSON document, and the text for people."""
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3
"""What became of it is not known."""


def run_program(app: typer.Typer) -> NoReturn:
    """The command that the command line names, to its exit code."""
    stand_in()
    if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except typer.Abort:  # a signal, before or after the work itself
        if "--json" in sys.argv:
            document = {"ok": False, "error": {"message": "interrupted"}}
            sys.stdout.write(json.dumps(document) + "\n")
        sys.exit(130)
    except BrokenPipeError:
        # whoever read our output has gone; nothing is left to tell
        lead_nowhere()
        sys.exit(FAILED)
    except Exception as error:
        # wrong usage, as the parser words it; its class is not public
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        _in_our_words(error)
        error.show()  # type: ignore[attr-defined]
        if "--json" in sys.argv:
            document = {"ok": False, "error": {"message": error.format_message()}}
            sys.stdout.write(json.dumps(document) + "\n")
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else DONE)


def end(outcome: Ended, as_json: bool) -> NoReturn:
    """Print what a command brought, and exit with its code."""
    code, document, text = outcome
    try:
        _print(document, text, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:  # as of a full disk
        lead_nowhere()
        with contextlib.suppress(OSError):
            sys.stderr.write(f"the answer could not be written: {error.strerror}\n")
        raise typer.Exit(code or FAILED) from None
    raise typer.Exit(code)


def fail(message: str, as_json: bool, code: int = FAILED) -> NoReturn:
    """As `end`, where there is nothing but an error to be told."""
    end((code, {"ok": False, "error": {"message": message}}, message), as_json)


def _print(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Raises OSError."""
    if as_json:
        sys.stdout.write(json.dumps(document, default=str) + "\n")
        sys.stdout.flush()
        if not document.get("ok", False) and text:
            sys.stderr.write(_lines(text))
    elif text:
        # What a miner said is an answer also when it is bad news; only an error of the command is not.
        stream = sys.stderr if "error" in document else sys.stdout
        stream.write(_lines(text))
        stream.flush()


def _lines(text: str) -> str:
    """For a terminal: miners and servers told some of it."""
    from contract.texts import printable

    return "".join(f"{printable(line)}\n" for line in text.rstrip("\n").split("\n"))


def _in_our_words(error: Any) -> None:
    """What the parser says of a value that is none comes from the library that checks it, as its cause."""
    found = getattr(error.__cause__, "errors", None)
    if found is not None:
        from contract.words import in_words

        error.message = "; ".join(map(in_words, found(include_url=False)))
