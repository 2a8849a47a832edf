"""The pages of this repository (Markdown): their links, their headings, and the console blocks that are marked to be run.

A block is marked by a comment on the line before it, which a rendered page does not show:

    <!-- runnable: farm -->

The blocks of one name on one page are one session: their commands are run in their order, as if typed into one shell.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_FENCED: Final = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_RUNNABLE: Final = re.compile(
    r"^<!-- runnable: ([a-z-]+) -->\n```console\n(.+?)^```$", re.MULTILINE | re.DOTALL
)
_MARK: Final = re.compile(r"^ *<!-- *runnable", re.MULTILINE)


def pages() -> list[Path]:
    """Every page, but of what is installed beside us."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    )


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCED.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Where the links of a page lead, those out into the web left out."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    found = re.findall(r"\]\(([^()\s]+)\)", text)
    return [each for each in found if not re.match(r"[a-z]+:", each)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """What may stand after `#` in a link to the page, by the rule of the usual code hosts."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def sessions(page: Path) -> dict[str, list[str]]:
    """The commands of each session, without their prompts and their comments. What is not a command is not shown in such a
    block. Raises ValueError for a mark that has no console block under it.
    """
    text = page.read_text("utf-8")
    found: dict[str, list[str]] = {}
    marked = _RUNNABLE.findall(text)
    if len(marked) != len(_MARK.findall(text)):
        raise ValueError(f"{page}: a mark has no console block under it")
    for name, block in marked:
        if not block.startswith("$ "):
            raise ValueError(f"{page}: a block of {name} does not begin with a command")
        commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
        found.setdefault(name, []).extend(re.sub(r" +# .*$", "", each.strip()) for each in commands)
    return found
