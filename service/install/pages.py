"""Manual pages and the completion of a shell, made from what the commands say of themselves."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import typer

_WIDTH: Final = 78


class HelpPage(msgspec.Struct, frozen=True):
    """One command: the words that call it, what it prints for --help, what may follow."""

    words: tuple[str, ...]
    help: str
    options: tuple[str, ...]
    commands: tuple[str, ...]


def of_app(app: typer.Typer, program: str) -> tuple[HelpPage, ...]:
    """Of a program and all commands in it, the program first."""
    return tuple(_walk(typer.main.get_command(app), program, None, ()))


def of_parser(parser: argparse.ArgumentParser) -> tuple[HelpPage, ...]:
    """Of a program without commands."""
    text = parser.format_help()
    options = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)))
    return (HelpPage((parser.prog,), text, tuple(options), ()),)


def _walk(command: Any, name: str, parent: Any, before: tuple[str, ...]) -> Iterator[HelpPage]:
    command.rich_markup_mode = None  # plain text, whatever the terminal would get
    context = typer.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH)
    words = (*before, name)
    inner: dict[str, Any] = getattr(command, "commands", {})
    options = [option for each in command.get_params(context) for option in each.opts]
    yield HelpPage(
        words,
        command.get_help(context),
        tuple(each for each in options if each.startswith("--")),
        tuple(inner),
    )
    for each, found in inner.items():
        yield from _walk(found, each, context, words)


def manual(pages: Sequence[HelpPage], version: str) -> bytes:
    """A page for `man`, section 1."""
    program = pages[0].words[0]
    about = re.split(r"\n\s*\n", pages[0].help)[1]
    lines = [
        f'.TH "{_roff(program.upper())}" 1 "" "{_roff(program)} {_roff(version)}"',
        ".SH NAME",
        f"{_roff(program)} \\- {_roff(' '.join(about.split()))}",
    ]
    for page in pages:
        lines += [
            f".SH {_roff(' '.join(page.words).upper() if len(page.words) > 1 else 'SYNOPSIS')}",
            ".nf",
            *(_roff(line) for line in page.help.rstrip().splitlines()),
            ".fi",
        ]
    return ("\n".join(lines) + "\n").encode()


def _roff(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


def completion(pages: Sequence[HelpPage]) -> bytes:
    """For bash: it starts no program of ours, which on a small host would take a second at every key."""
    program = pages[0].words[0]
    function = f"_{program.replace('-', '_')}"
    commands = {" ".join(page.words[1:]): page for page in pages}
    lines = [
        f"# Completion of {program} for bash, made from its own help.",
        f"{function}() {{",
        '    local at="" each options="" commands=""',
        '    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        '        case "$at $each" in',
        *(
            f'            "{_before(name)} {name.split()[-1]}") at="{name}" ;;'
            for name in commands
            if name
        ),
        "        esac",
        "    done",
        '    case "$at" in',
        *(
            f'        "{name}") options="{" ".join(page.options)}" commands="{" ".join(page.commands)}" ;;'
            for name, page in commands.items()
        ),
        "    esac",
        '    local word="${COMP_WORDS[COMP_CWORD]}"',
        "    if [[ $word = -* ]]; then",
        '        COMPREPLY=($(compgen -W "$options" -- "$word"))',
        "    elif [[ -n $commands ]]; then",
        '        COMPREPLY=($(compgen -W "$commands" -- "$word"))',
        "    else",
        '        COMPREPLY=($(compgen -f -- "$word"))',
        "    fi",
        "}",
        f"complete -o filenames -F {function} {program}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _before(name: str) -> str:
    return " ".join(name.split()[:-1])
