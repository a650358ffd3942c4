"""The credential report: what credentials an account's users have, and how old they are, as CSV.

It is made when it is asked for, and kept; within four hours it is not made anew. Source: "Generate credential reports".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.service import iam
from eucapy.clc.store import accounts, iam_certificates, iam_mfa, iam_passwords, iam_reports
from eucapy.database import Row
from eucapy.errors import ApiError

FRESH_S = 4 * 3600
DAY_S = 86400
COLUMNS = (
    "user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
    "password_next_rotation", "mfa_active",
    "access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date",
    "access_key_1_last_used_region", "access_key_1_last_used_service",
    "access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date",
    "access_key_2_last_used_region", "access_key_2_last_used_service",
    "cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
)  # fmt: skip
NONE, NEVER = "N/A", "no_information"


class ReportNotPresent(ApiError):
    code = "ReportNotPresent"
    status = 410
    message = "No report exists. Use GenerateCredentialReport to create a report."


class ReportExpired(ApiError):
    code = "ReportExpired"
    status = 410
    message = "The most recent report has expired. Use GenerateCredentialReport to create a new report."


@iam.action("GenerateCredentialReport")
async def generate(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    held = await iam_reports.report(call.tx, call.account)
    if held is not None and call.now - held.created_at < FRESH_S:
        return {"State": "COMPLETE"}
    await iam_reports.put_report(call.tx, call.account, await _made(call), call.now)
    return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


@iam.action("GetCredentialReport")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    held = await iam_reports.report(call.tx, call.account)
    if held is None:
        raise ReportNotPresent
    if call.now - held.created_at >= FRESH_S:
        raise ReportExpired
    return {"Content": held.content.encode(), "ReportFormat": "text/csv", "GeneratedTime": held.created_at}


async def _made(call: Call) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    root = await accounts.user_by_id(call.tx, call.account)
    everybody = [*([root] if root is not None else []), *await accounts.users_of(call.tx, call.account)]
    age = ((await iam_passwords.rules(call.tx, call.account)) or {}).get("MaxPasswordAge")
    for user in everybody:
        writer.writerow(await _line(call, user, age))
    return table.getvalue().rstrip("\n")


async def _line(call: Call, user: Row, age: int | None) -> list[str]:
    password = await iam_passwords.profile(call.tx, user.id)
    shown = ["<root_account>" if user.root else user.name, users.view(user)["Arn"], _when(user.created_at)]
    if password is None:
        shown += ["not_supported" if user.root else "false", NEVER if user.root else NONE]
        shown += ["not_supported", "not_supported"] if user.root else [NONE, NONE]
    else:
        rotated = _when(password.changed_at + age * DAY_S) if age else NONE
        used = _when(user.password_used_at) if user.password_used_at is not None else NEVER
        shown += ["true", used, _when(password.changed_at), rotated]
    shown.append(_truth(bool(await iam_mfa.of_user(call.tx, user.id))))
    keys = await accounts.keys_of(call.tx, user.id)
    for number in range(2):
        shown += _key(keys[number]) if number < len(keys) else ["false", NONE, NONE, NONE, NONE]
    held = await iam_certificates.signing_of(call.tx, user.id)
    for number in range(2):
        known = number < len(held)
        shown += [_truth(held[number].active), _when(held[number].created_at)] if known else ["false", NONE]
    return shown


def _key(key: Row) -> list[str]:
    used = [NONE, NONE, NONE]
    if key.last_used_at is not None:
        used = [_when(key.last_used_at), str(key.last_used_region), str(key.last_used_service)]
    return [_truth(key.active), _when(key.created_at), *used]


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _when(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).isoformat()
