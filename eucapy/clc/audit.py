"""The audit trail: one JSON line a request, who did what, on which resources, from where, and how it ended.

`outcome` is "allowed" (what came of it says `status`), "denied" (a policy, or the lack of one) or "unknown" (nobody knows who
it was: no key, a wrong or a stale signature). Of parameters only the resources that they name are told, as ARNs, and of
answers those that were made; secrets, user data and documents never are. Lines are gathered and written a few times a second,
so that the trail costs no request its latency; a crash may lose the last moment of it. Searched with `eucapy audit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from eucapy import ids
from eucapy.aws.chain import AuditRecord
from eucapy.aws.xml import Rendered
from eucapy.clc import actions
from eucapy.clc.actions import Ask, Scope, Touched
from eucapy.clc.context import USER, Principal

log = logging.getLogger(__name__)

FLUSH_S = 0.5
LARGEST_FILE_BYTES = 64 << 20
FILES = 8
MOST_RESOURCES = 50
"""Of one line; a request may name a thousand."""
_READING = ("Assume", "Describe", "Get", "List")
_RENDERED = re.compile(r"<\w+Id>([a-z0-9-]+)</")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired"})
_UNKNOWN = frozenset(
    {
        "AuthFailure", "ExpiredToken", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidSignatureException", "MissingAuthenticationToken", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "UnrecognizedClientException",
    }
)  # fmt: skip


class AuditTrail:
    """Appends to `audit.jsonl` in `folder`; full files are kept as `audit.jsonl.1` and so on."""

    def __init__(self, folder: Path, region: str) -> None:
        self._path, self._region = folder / "audit.jsonl", region
        self._lines: list[AuditRecord] = []
        self._task: asyncio.Task[None] | None = None

    def note(self, record: AuditRecord) -> None:
        """Cheap; never raises."""
        if record.result is not None and record.action.startswith(_READING):
            record = msgspec.structs.replace(record, result=None)  # a long list is not kept until it is written
        self._lines.append(record)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="audit")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        content = b"".join(_encoded(_line(record, self._region)) + b"\n" for record in lines)
        try:
            if self._path.exists() and self._path.stat().st_size > LARGEST_FILE_BYTES:
                self._rotate()
            with self._path.open("ab") as stream:
                stream.write(content)
        except OSError:
            log.exception("the audit trail cannot be written")

    def _rotate(self) -> None:
        for number in range(FILES - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.rename(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.rename(self._path.with_name(f"{self._path.name}.1"))
        with contextlib.suppress(FileNotFoundError):
            self._path.with_name(f"{self._path.name}.{FILES}").unlink()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                self.flush()
            except Exception:  # the trail goes on, whatever one line of it was
                log.exception("lines of the audit trail are lost")


def _line(record: AuditRecord, region: str) -> dict[str, object]:
    principal = record.identity.principal
    line: dict[str, object] = {
        "at": round(record.started, 3),
        "service": record.service,
        "action": record.action,
        "request": record.request_id,
        "account": record.identity.account,
        "principal": principal.arn if isinstance(principal, Principal) else "",
        "key": record.identity.access_key_id,
        "from": record.remote,
        "agent": record.agent,
        "resources": _resources(record, region),
        "outcome": _outcome(record),
        "status": record.status,
        "error": record.error_code,
        "message": _said(record),
        "took_ms": round(record.duration_s * 1000, 2),
    }
    if isinstance(principal, Principal) and principal.session is not None:
        line["session_of"] = principal.lasting_arn
        if principal.session.source_identity:
            line["source_identity"] = principal.session.source_identity
    return line


def _encoded(line: dict[str, object]) -> bytes:
    """Bytes of a header that were no text came in as lone surrogates, which UTF-8 has not: here they stand as `\\udcff`.
    Whoever sends such a line is told of like everybody else."""
    try:
        return msgspec.json.encode(line)
    except UnicodeEncodeError:
        return json.dumps(line).encode()


def _outcome(record: AuditRecord) -> str:
    if record.error_code in _DENIED:
        return "denied"
    return "unknown" if record.error_code in _UNKNOWN and record.identity.principal is None else "allowed"


def _said(record: AuditRecord) -> str | None:
    """Why a request was denied, without what is sealed in it; what others are told of their own values is theirs."""
    if record.error_message is None or _outcome(record) != "denied":
        return None
    return record.error_message.partition(". Encoded authorization failure message")[0]


def _resources(record: AuditRecord, region: str) -> list[str]:
    """What the request names, as far as the request alone tells, and what the answer says of that which it does not name:
    what was made, or chosen."""
    declaration, principal = actions.declared(record.service, record.action), record.identity.principal
    if declaration is None or record.params is None or not isinstance(principal, Principal):
        return []
    user = principal.user_name if principal.kind == USER else ""
    scope = Scope(principal.account, region, user, principal.path)
    asks = declaration.resources(record.service, record.action, record.params, scope)
    found = [_name(ask, scope) for ask in asks]
    open_kinds = {
        ask.touched.kind.name: ask.touched.kind for ask in asks if ask.touched is not None and not ask.touched.id
    }
    if open_kinds and record.result is not None:
        for said in _ids(record.result):
            kind = ids.kind_of(said)
            if kind is not None and kind.resource_type in open_kinds:
                found.append(Touched(open_kinds[kind.resource_type], said).arn(scope))
    return [each for each in dict.fromkeys(found) if each][:MOST_RESOURCES]


def _ids(answer: Any, member: str = "") -> Iterator[str]:
    """The ids in an answer. What users wrote (a description, a tag) stands under no member whose name ends so."""
    if isinstance(answer, Mapping):
        for name, value in answer.items():
            yield from _ids(value, str(name))
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from _ids(value, member)
    elif isinstance(answer, Rendered):
        yield from _RENDERED.findall(answer)
    elif isinstance(answer, str) and member.endswith(("Id", "Ids")):
        yield answer


def _name(ask: Ask, scope: Scope) -> str:
    if ask.touched is None or not ask.touched.id:
        return ""
    return ask.touched.arn(scope) if ask.touched.via in ("", "path") else ""
