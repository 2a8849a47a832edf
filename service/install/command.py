"""The commands `install` and `uninstall` of a program: steps are taken, or shown. Each gives (exit code, JSON document,
text for people).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.install.environment import CannotInstallError, environment_of
from service.install.host import THIS, HostCommandError, TargetHost
from service.install.pages import HelpPage, completion, manual
from service.install.product import Product
from service.install.steps import Installation, Step, check, removal

Answer = tuple[int, dict[str, Any], str]


def install(
    product: Product,
    pages: Mapping[str, Sequence[HelpPage]],
    *,
    dry_run: bool,
    host: TargetHost = THIS,
) -> Answer:
    """Have the product run on this host, from a copy of the environment that this process runs in."""
    try:
        source = environment_of(product)
        manuals = {name: manual(each, source.version) for name, each in pages.items()}
        completions = {name: completion(each) for name, each in pages.items()}
        work = Installation(product, host, source, manuals, completions)
    except (CannotInstallError, OSError) as error:
        return _failed(str(error), [])
    return _take(
        work.steps(), dry_run, f"{product.name} {source.version} is installed: {product.next_step}"
    )


def uninstall(product: Product, *, dry_run: bool, purge: bool, host: TargetHost = THIS) -> Answer:
    """Take the product away again; with `purge` its state, config and secrets, too."""
    try:
        check(product, host)
    except CannotInstallError as error:
        return _failed(str(error), [])
    kept = [str(each) for each in product.kept if not purge and host.at(each).exists()]
    left = f"; kept: {', '.join(kept)} (--purge removes them)" if kept else ""
    return _take(
        removal(product, host, purge=purge), dry_run, f"{product.name} is not installed{left}"
    )


def _take(steps: Iterable[Step], dry_run: bool, end: str) -> Answer:
    done: list[str] = []
    for step in steps:
        try:
            is_due = bool(done) if step.is_due is None else step.is_due()
            if is_due and not dry_run:
                step.act()
        except (HostCommandError, OSError) as error:
            return _failed(f"{step.what}: {error}", done)
        if is_due:
            done.append(step.what)
    document = {"ok": True, "dry_run": dry_run, "steps": done}
    if dry_run:
        return 0, document, "\n".join(("would:", *done)) if done else "nothing is to be done"
    return 0, document, "\n".join((*done, end))


def _failed(message: str, done: list[str]) -> Answer:
    document = {"ok": False, "steps": done, "error": {"message": message}}
    return 1, document, "\n".join((*done, message))
