"""Settings of the account that this cloud has in one position only, for those who ask for them first.

Nobody can change them: the operations that would are not served, since nothing would follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue
from eucapy.clc.ec2.service import ec2


@ec2.action("GetSerialConsoleAccessStatus")
async def get_serial_console_access_status(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Nobody types into a guest's serial console: it is read only (GetConsoleOutput)."""
    return {"SerialConsoleAccessEnabled": False, "ManagedBy": "account"}


@ec2.action("GetSnapshotBlockPublicAccessState")
async def get_snapshot_block_public_access_state(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """CreateVolume permissions may say `all`."""
    return {"State": "unblocked", "ManagedBy": "account"}


@ec2.action("GetDefaultCreditSpecification")
async def get_default_credit_specification(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What a launch of the family gets that says nothing."""
    family = p["InstanceFamily"]
    for kind in call.types.values():
        if kind.burstable and kind.name.partition(".")[0] == family:
            return {"InstanceFamilyCreditSpecification": {"InstanceFamily": family, "CpuCredits": kind.credits}}
    raise InvalidParameterValue(f"Value ({family}) for parameter instanceFamily is invalid.")
