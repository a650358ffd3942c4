"""What the installer shows: steps with their time, findings, notes. Plain where the terminal is plain; all of it logged.

On a terminal the step at work shows its latest line in place; anywhere else a step is one line when it is done. The log
in `DIR/log/faststart.log` holds everything with times, but no secret: those go through `secret()`, to the screen alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status

from eucapy.cli.faststart.checks import Finding, Level


class Step:
    """A step at work; `say` shows what it is doing right now, `result` what will stand behind its name."""

    def __init__(self, progress: Progress, title: str, status: Status | None) -> None:
        self._progress, self._title, self._status = progress, title, status
        self.outcome = ""

    def say(self, line: str) -> None:
        """One line of what is going on."""
        self._progress.log(f"  {self._title}: {line}")
        if self._status is not None and line.strip():
            width = max(20, self._progress.console.width - len(self._title) - 8)
            self._status.update(f"{escape(self._title)} [dim]{escape(line.strip()[:width])}[/dim]")

    def result(self, text: str) -> None:
        self.outcome = text


class Progress:
    """The screen and the log."""

    def __init__(self, console: Console | None = None, log: Path | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._marks = ("✓", "!", "✗") if (self.console.encoding or "").lower().startswith("utf") else ("+", "!", "x")
        self._log: IO[str] | None = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._log = log.open("a", buffering=1)

    def log(self, line: str) -> None:
        """To the log alone."""
        if self._log is not None:
            self._log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")

    def title(self, text: str) -> None:
        self.log(f"== {text}")
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def note(self, text: str) -> None:
        self.log(text)
        self.console.print(f"  {escape(text)}", soft_wrap=True)

    def warn(self, text: str) -> None:
        self.log(f"warning: {text}")
        self.console.print(f"  [yellow]{self._marks[1]}[/yellow] {escape(text)}", soft_wrap=True)

    def secret(self, text: str) -> None:
        """To the screen alone: never logged."""
        self.console.print(f"  {escape(text)}", soft_wrap=True)

    def command(self, text: str) -> None:
        """A command to type."""
        self.log(f"$ {text}")
        self.console.print(f"    [cyan]{escape(text)}[/cyan]", soft_wrap=True)

    def findings(self, findings: Iterable[Finding]) -> None:
        """What was looked at, one a line, with the advice below."""
        marks = {
            Level.GOOD: f"[green]{self._marks[0]}[/green]",
            Level.WARNING: f"[yellow]{self._marks[1]}[/yellow]",
            Level.MISSING: f"[red]{self._marks[2]}[/red]",
        }
        for finding in findings:
            self.log(f"{finding.what}: {finding.level}: {finding.found} {finding.advice}")
            self.console.print(f"  {marks[finding.level]} {finding.what:12} {escape(finding.found)}", soft_wrap=True)
            if finding.advice:
                self.console.print(Padding(f"[dim]{escape(finding.advice)}[/dim]", (0, 0, 0, 17)))

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Something that takes a while."""
        started = time.monotonic()
        status = self.console.status(escape(title)) if self.console.is_terminal else None
        step = Step(self, title, status)
        self.log(f"{title} ...")
        try:
            with status if status is not None else contextlib.nullcontext():
                yield step
        except BaseException as error:
            self.log(f"{title}: failed: {error!r}")
            self.console.print(f"  [red]{self._marks[2]}[/red] {escape(title)}", soft_wrap=True)
            raise
        took = time.monotonic() - started
        behind = f": {step.outcome}" if step.outcome else ""
        time_shown = f" [dim]({took:.0f} s)[/dim]" if took >= 1 else ""
        self.log(f"{title}{behind} ({took:.1f} s)")
        self.console.print(f"  [green]{self._marks[0]}[/green] {escape(title + behind)}{time_shown}", soft_wrap=True)
