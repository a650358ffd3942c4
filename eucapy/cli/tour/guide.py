"""`eucapy tour`: shows each step, runs its commands on the cloud of this machine, and tidies up.

The commands are the stock aws CLI's and ssh's, shown as they are typed. On a terminal the tour waits for Enter before
each step (`--unattended` does not); a command that fails ends the tour with what it said, and everything begun is undone.
"""

from __future__ import annotations

import argparse
import secrets
import shlex
import shutil
import string
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from eucapy.cli.faststart.first_instance import ssh_command
from eucapy.cli.faststart.progress import Progress
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.tour.steps import STEPS, Command, Step
from eucapy.ledger import write_file
from eucapy.run import Result, run_now

COMMAND_LIMIT_S = 900.0


class TourEnded(CliError):
    """A command of the tour failed."""


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy tour", description=__doc__)
    parser.add_argument("--unattended", action="store_true", help="do not wait for Enter between the steps")
    options = parser.parse_args(arguments[1:])
    attended = sys.stdin.isatty() and not options.unattended
    return walk(Installation(data), Progress(log=Installation(data).folder("log") / "tour.log"), attended=attended)


def walk(installation: Installation, progress: Progress, *, attended: bool, steps: Sequence[Step] = STEPS) -> int:
    """The whole tour; 0 when every step worked. Raises CliError when there is no cloud to tour."""
    environment = installation.environment()
    with tempfile.TemporaryDirectory(prefix="eucapy-tour-") as folder:
        guide = Guide(environment, Path(folder), progress, attended=attended)
        progress.title("A tour of your cloud")
        progress.note(f"{len(steps)} steps, each for real, at {environment['AWS_ENDPOINT_URL']}.")
        try:
            for number, step in enumerate(steps, 1):
                guide.take(step, f"{number}/{len(steps)}")
        except (EOFError, KeyboardInterrupt):
            progress.note("The tour is left.")
            return 130
        finally:
            guide.tidy_up()
    progress.title("That was the tour")
    progress.note("The same commands work with boto3, Terraform and every other AWS tool.")
    return 0


class Guide:
    """One walk: what was answered so far, and what is to be undone."""

    def __init__(self, environment: dict[str, str], folder: Path, progress: Progress, *, attended: bool) -> None:
        tag = "tour-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(8))
        note = folder / "note.txt"
        note.write_text("An object in a bucket.\n")
        self.values = {"tag": tag, "key_file": str(folder / "tour.pem"), "note_file": str(note)}
        self._environment = {**environment, "AWS_PAGER": "", "AWS_CONFIG_FILE": str(folder / "no-config")}
        self._progress = progress
        self._attended = attended
        self._begun: list[Step] = []

    def take(self, step: Step, number: str) -> None:
        """Show and do one step. Raises TourEnded."""
        self._progress.title(f"{number}  {step.title}")
        self._progress.note(step.text)
        if self._attended:
            self._progress.console.input("  [dim]Enter to go on, Ctrl-C to leave[/dim] ")
        self._begun.append(step)
        for command in step.commands:
            self._do(command)

    def tidy_up(self) -> None:
        """Undo what was begun; what was never made is passed over."""
        lines = [line for step in undo_order(self._begun) for line in step.undo]
        if not lines:
            return
        self._progress.title("Tidying up")
        for line in lines:
            try:
                filled = self._fill(line)
            except KeyError:
                continue  # the step was left before this was made
            result = self._run(shlex.split(filled))
            if result.status == 0:
                self._progress.command(filled)
            else:
                self._progress.warn(f"{filled}: {_said(result)}")
        self._begun = []

    def _do(self, command: Command) -> None:
        line = self._fill(command.line)
        shown = f"ssh -i {Path(self.values['key_file']).name} root@{self.values.get('address', '')} {shlex.quote(line)}"
        target = f" > {Path(self._fill(command.to_file)).name}" if command.to_file else ""
        self._progress.command((shown if command.guest else line) + target)
        argv = (
            ssh_command(Path(self.values["key_file"]), self.values["address"], line)
            if command.guest
            else shlex.split(line)
        )
        deadline = time.monotonic() + command.tries_for_s
        while (result := self._run(argv)).status != 0:
            if time.monotonic() >= deadline:
                raise TourEnded(f"the tour ends here: {line}: {_said(result)}")
            time.sleep(1.0)
        if command.to_file:
            write_file(Path(self._fill(command.to_file)), result.stdout.encode(), mode=0o600)
            return
        if command.save:
            self.values[command.save] = result.stdout.strip()
            if self.values[command.save] in ("", "None"):
                raise TourEnded(f"the tour ends here: {line} answered nothing")
        for out in result.stdout.rstrip().splitlines():
            self._progress.note(f"  {out}")

    def _run(self, argv: list[str]) -> Result:
        if argv[0] == "aws":
            argv = [aws_program(), *argv[1:]]
        return run_now(*argv, env=self._environment, timeout_s=COMMAND_LIMIT_S, check=False)

    def _fill(self, line: str) -> str:
        return line.format_map(self.values)


def undo_order(begun: Sequence[Step]) -> list[Step]:
    """The last step first, after those that must go before all others."""
    return [step for first in (True, False) for step in reversed(begun) if step.undone_first is first]


def aws_program() -> str:
    """The aws CLI that was installed beside this interpreter, else the one on the path. Raises CliError."""
    beside = Path(sys.executable).with_name("aws")
    found = str(beside) if beside.exists() else shutil.which("aws")
    if found is None:
        raise CliError("the aws CLI is not installed: pip install awscli, or your distribution's package awscli")
    return found


def _said(result: Result) -> str:
    return (result.stderr or result.stdout).strip() or f"exit status {result.status}"
