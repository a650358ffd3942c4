"""GetConsoleOutput, GetConsoleScreenshot, GetPasswordData: the calls that ask a node and change nothing.

The answer comes after the transaction, from the node itself: what it cannot give (the instance is on no node, or the node
is silent) is an empty answer for the console, as EC2 gives for an instance that has not written anything yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call, Later
from eucapy.clc.ec2.errors import IncorrectInstanceState
from eucapy.clc.ec2.instances import require
from eucapy.clc.ec2.service import ec2
from eucapy.lifecycle import instance as life

MOST_BYTES = 64 * 1024


@ec2.action("GetConsoleOutput")
async def get_console_output(call: Call, p: Mapping[str, Any]) -> Later:
    """The newest 64 KiB. EC2 shows the boot's output and, with Latest, the current one: here it is always the latest."""
    row = await require(call, p["InstanceId"])
    reads, instance_id, now = call.reads, row.id, call.now

    async def work() -> Mapping[str, Any]:
        try:
            console = await reads.console(instance_id, MOST_BYTES)
        except LookupError:
            return {"InstanceId": instance_id, "Timestamp": now}
        return {"InstanceId": instance_id, "Timestamp": console.read_at, "Output": console.content}

    return Later(work)


@ec2.action("GetConsoleScreenshot")
async def get_console_screenshot(call: Call, p: Mapping[str, Any]) -> Later:
    row = await require(call, p["InstanceId"])
    if row.state != life.RUNNING:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in the 'running' state.")
    reads, instance_id = call.reads, row.id

    async def work() -> Mapping[str, Any]:
        try:
            picture = await reads.screenshot(instance_id)
        except LookupError as error:
            raise IncorrectInstanceState(f"The instance '{instance_id}' has no screen to be seen now.") from error
        return {"InstanceId": instance_id, "ImageData": picture.content}

    return Later(work)


@ec2.action("GetPasswordData")
async def get_password_data(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Windows guests put an encrypted password here; this cloud's guests have none."""
    row = await require(call, p["InstanceId"])
    return {"InstanceId": row.id, "PasswordData": "", "Timestamp": row.launched_at}
