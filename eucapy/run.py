"""The one place that starts programs.

Promises: no shell, arguments as a list, a time limit on every run, the whole process group is ended when the limit or a
cancellation comes, and what the program said on stderr is in the error. `tests/architecture` refuses `subprocess` and
`create_subprocess_*` anywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

Child = subprocess.Popen[bytes]
"""A program started by `spawn`; its owner waits for its end."""
StillRunning = subprocess.TimeoutExpired
"""Raised by `Child.wait(limit)` when the limit comes first."""


class RunError(Exception):
    """A program ended with a status other than 0, or could not be started, or ran out of its time."""

    def __init__(self, argv: Sequence[str], status: int | None, stderr: str) -> None:
        self.argv = list(argv)
        self.status = status
        self.stderr = stderr
        what = "ran out of time" if status is None else f"exit status {status}"
        super().__init__(f"{' '.join(argv)}: {what}: {stderr.strip()[-2000:]}")


@dataclass(frozen=True)
class Result:
    """What a program left: its exit status and its output as text."""

    status: int
    stdout: str
    stderr: str


def in_netns(netns: str | None, argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` inside the named network namespace (None: where we are)."""
    return list(argv) if netns is None else ["nsenter", f"--net=/run/netns/{netns}", "--", *argv]


async def run(
    *argv: str,
    stdin: str | bytes | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run a program to its end. `on_line` sees each line of its merged output as it comes (progress); a carriage return
    ends a line too. `pass_fds` are descriptors that it inherits.

    Raises RunError when it fails (unless `check` is off), cannot be started, or runs longer than `timeout_s` seconds.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if on_line else asyncio.subprocess.PIPE,
            env={**os.environ, **env} if env is not None else None,
            cwd=cwd,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    except OSError as error:
        raise RunError(argv, 127, str(error)) from error
    async with _ended_at_the_latest(process, argv, timeout_s):
        if on_line is None:
            out, err = await process.communicate(data)
        else:
            out, err = await _by_lines(process, data, on_line), b""
    status = process.returncode if process.returncode is not None else -1
    result = Result(status, out.decode(errors="replace"), err.decode(errors="replace"))
    if check and status != 0:
        raise RunError(argv, status, result.stderr or result.stdout)
    return result


@contextlib.asynccontextmanager
async def _ended_at_the_latest(
    process: asyncio.subprocess.Process, argv: Sequence[str], timeout_s: float
) -> AsyncIterator[None]:
    """The program and what it started are ended when the block is not left in time (RunError) or is left by an exception."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        _end_group(process.pid)
        await process.wait()
        raise RunError(argv, None, f"limit of {timeout_s:g} s") from error
    except BaseException:
        _end_group(process.pid)
        await process.wait()
        raise


async def daemonized(*argv: str, timeout_s: float = 60.0) -> None:
    """Run a program that goes into the background by itself; returns when its first process has ended.

    What goes on may hold on to the descriptors that it was started with, so its words go to a file: a pipe's end would not
    come before the daemon's own. Raises RunError as `run` does.
    """
    with tempfile.TemporaryFile() as words:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(argv, 127, str(error)) from error
        async with _ended_at_the_latest(process, argv, timeout_s):
            status = await process.wait()
        if status != 0:
            words.seek(0)
            raise RunError(argv, status, words.read().decode(errors="replace"))


async def _by_lines(process: asyncio.subprocess.Process, data: bytes | None, on_line: Callable[[str], None]) -> bytes:
    assert process.stdout is not None
    if data is not None:
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()
    kept, rest = bytearray(), b""
    while piece := await process.stdout.read(64 * 1024):
        kept += piece
        *lines, rest = re.split(rb"\r\n|\r|\n", rest + piece)
        for line in lines:
            on_line(line.decode(errors="replace"))
    if rest:
        on_line(rest.decode(errors="replace"))
    await process.wait()
    return bytes(kept)


def run_now(
    *argv: str,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> Result:
    """`run` for code without an event loop (installers, test harness)."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            errors="replace",
            env={**os.environ, **env} if env is not None else None,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(argv, None, f"limit of {timeout_s:g} s") from error
    except OSError as error:
        raise RunError(argv, 127, str(error)) from error
    if check and done.returncode != 0:
        raise RunError(argv, done.returncode, done.stderr or done.stdout)
    return Result(done.returncode, done.stdout, done.stderr)


def spawn(
    argv: Sequence[str],
    *,
    output: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    new_session: bool = True,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a program that lives on by itself (a daemon's child); the caller owns its end."""
    sink = subprocess.DEVNULL if output is None else output
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env={**os.environ, **env} if env is not None else None,
        start_new_session=new_session,
        pass_fds=tuple(pass_fds),
    )


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by another program (a launcher's last act); the search path is used. Raises OSError."""
    os.execvp(argv[0], list(argv))


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
