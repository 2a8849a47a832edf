"""What the demo puts on the screen. With --json everything but the last line goes to stderr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from agent.demo.mixed import MixedFarm
    from agent.demo.report import PlaybookReport, Report
    from agent.demo.script import Act
    from agent.demo.stage import Stage

_LIGHT_ON = '{"task_name": "miner.light.update", "miner_ids": ["%s"], "params": {"action": "on"}}'
_WIDTH = 120  # of a file, which has no edge to fold the table at
_WHY_WIDTH = 30
_STYLES = {"succeed": "green", "partial_succeed": "yellow", "failed": "red", "pending": "cyan"}


class Show:
    """Progress while it runs, one table at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._console = Console(stderr=as_json)
        self.as_json = as_json
        if not self._console.is_terminal:
            self._console.width = _WIDTH
        self._rows: dict[str, tuple[Act, Mapping[str, Any]]] = {}
        self._found = Text("")
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """One line of what is going on."""
        self._console.print(escape(text))

    def trouble(self, text: str) -> None:
        """One error, in words."""
        self._console.print(Text(text, style="red"))

    @contextmanager
    def live(self) -> Iterator[None]:
        """While inside, progress redraws itself where the output is a terminal."""
        with Live(
            console=self._console,
            transient=True,
            refresh_per_second=8,
            get_renderable=self._picture,
        ) as self._live:
            yield
        self._live = None

    def found(self, rows: Iterable[Mapping[str, Any]], expected: int) -> None:
        """How many miners are known, and how many were read."""
        rows = list(rows)
        read = [row for row in rows if row["hashrate"] is not None]
        self._found = Text(f"{len(rows)} of {expected} miners found, {len(read)} read")

    def progress(self, batch_id: str, act: Act, batch: Mapping[str, Any]) -> None:
        """Where one batch stands."""
        self._rows[batch_id] = (act, batch)

    def report(self, report: Report) -> None:
        """The table of proof, and one of the miners that have a part of their own."""
        table = _table("Every task the agent carries out, with what became of it")
        table.add_column("task", no_wrap=True)
        table.add_column("what for", overflow="fold")
        for name in ("tasks", "succeed", "failed"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("why", overflow="fold")
        table.add_column("seconds", justify="right", no_wrap=True)
        surprises = []
        for each in report.batches:
            why = [f"{count} {code}" for code, count in sorted(each.why.items())]
            why += [f"{count} skipped ({word})" for word, count in sorted(each.skipped.items())]
            table.add_row(
                Text(each.task_name, style=_STYLES.get(each.status, "")), Text(each.note),
                str(each.task_count), str(each.succeed_count), str(each.failed_count),
                Text(_folded(why)), f"{each.seconds:.1f}",
            )  # fmt: skip
            surprises += [f"{each.task_name} ({each.note}): {text}" for text in each.surprises]
        ledger, seconds, ok = report.ledger, report.seconds, report.ok
        special = _table("\nThe miners that play a part, and what the cloud says of their tasks")
        for name in ("address", "model", "part", "tasks"):
            special.add_column(name, no_wrap=name != "tasks")
        for miner in report.specials:
            said = ", ".join(f"{count} {word}" for word, count in miner.said.items())
            special.add_row(miner.ip, Text(miner.model), miner.role, Text(said))
        self._console.print(table)
        self._console.print(special)
        if report.playbook:
            self._console.print(_playbook_table(report.playbook))
        self._console.print(
            f"\nThe miners' own ledger: {ledger.effects} effects, {ledger.doubled} done twice, "
            f"{ledger.unclaimed} without a task. {seconds:.1f} s."
        )
        if report.monitored:
            self._console.print(
                f"The Mining Rig Monitor was told of {report.monitored} miners, and shows them at work again."
            )
        if (part := report.subscription) is not None:
            held = ", ".join(part.held)
            self._console.print(
                f"Unsubscribed from {part.task_name}, the site was given no more of it ({held}); subscribed to again, "
                f"the batch ended as {part.status}, at {part.amount}."
            )
        for text in surprises:
            self._console.print(Text(f"Not as scripted: {text}", style="red"))
        self._console.print(
            Text("As scripted: one miner lies, one is dead, one is foreign.", style="green")
            if ok
            else Text("The demo did not end as scripted.", style="red")
        )

    def invite(
        self, stage: Stage, miner_id: str, batch_id: str, commands: Iterable[str] = ()
    ) -> None:
        """How to go on by hand, with a miner and a batch that are there, and with more `commands`."""
        farm = f"{stage.cloud_url}/private-api/v1/{stage.workspace_id}/farms/{stage.farm_id}"
        key = f"-H 'x-api-key: {stage.api_key}'"
        json = "-H 'Content-Type: application/json'"
        some = stage.miners[0].ip
        self._console.print(f"\nEverything stays up until Ctrl-C or SIGTERM. Files: {stage.folder}")
        self._console.print(f"URL {stage.cloud_url}\nkey {stage.api_key}\n", soft_wrap=True)
        for line in (
            f"curl -s {key} '{farm}/miner/latest?pageSize=100'",
            f"curl -s {key} {json} -d '{{\"ip_ranges\": [\"{some}\"]}}' '{farm}/miner/search'",
            f"curl -s {key} {json} -d '{_LIGHT_ON % miner_id}' '{farm}/tasks/batches'",
            f"curl -s {key} '{farm}/tasks/batches/{batch_id}'",
            f"curl -s {key} '{farm}/miners/{miner_id}/tasks'",
            f'curl -s {key} {json} -d \'{{"status": {{"eq": "failed"}}}}\' \'{farm}/tasks/search\'',
            *commands,
        ):
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def leave(self, stage: Stage, farm: MixedFarm, images_url: str) -> None:
        """How a mixed farm that is up is run by hand; firmware for it is served at `images_url`."""
        number, broken = len(stage.miners), len(farm.faults)
        self._console.print(
            f"\n{number} miners are up until Ctrl-C or SIGTERM, {broken} of them with a fault. Files: {stage.folder}\n",
            soft_wrap=True,
        )
        for line in (
            f"export MINER_CLOUD_URL={stage.cloud_url} MINER_CLOUD_KEY_FILE={farm.key_file}",
            f"export DEMO={stage.folder} IMAGES={images_url}",
            "miner-cloud status",
            "miner-cloud miners --select 'status=offline|stale'",
            "miner-cloud import $DEMO/racks.csv",
        ):
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)
        self._console.print("\ndocs/recipes.md has ten of an operator's daily errands.")

    def _picture(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for act, batch in self._rows.values():
            ended = batch["succeed_count"] + batch["failed_count"]
            table.add_row(
                Text(act.name, style=_STYLES.get(batch["status"], "")),
                act.note,
                f"{ended}/{batch['task_count']}",
            )
        return Group(self._found, table)


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="underline",
        padding=(0, 1, 0, 0),
    )  # fmt: skip


def _playbook_table(reports: Iterable[PlaybookReport]) -> Table:
    table = _table("\nThe rig that the agent runs on")
    table.add_column("the monitor wishes", no_wrap=True)
    for name in ("hash rate", "process", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in reports:
        rate = "none" if each.hashrate_hs is None else f"{each.hashrate_hs:.0f} H/s"
        pid = "none" if each.pid is None else str(each.pid)
        table.add_row(each.note, rate, pid, f"{each.seconds:.1f}")
    return table


def _folded(items: Iterable[str]) -> str:
    """Items of a list, on as few lines as hold them whole."""
    lines: list[str] = []
    for each in items:
        if lines and len(lines[-1]) + 2 + len(each) <= _WHY_WIDTH:
            lines[-1] += f", {each}"
            continue
        if lines:
            lines[-1] += ","
        lines.append(each)
    return "\n".join(lines)
