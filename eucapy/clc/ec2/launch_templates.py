"""Launch templates: create, modify, delete, describe. Their versions: `launch_template_versions.py`.

What a template holds is checked like a request when it is made, as far as that needs no look at what there is; what could
not be launched is a warning, since a launch may still say otherwise. How a launch and a template become one:
`launch_template_merge.py`. Source: EC2 User Guide, "Restrictions for Amazon EC2 launch templates".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import launch_options, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidLaunchTemplateNameAlreadyExists,
    InvalidLaunchTemplateNameMalformed,
    InvalidLaunchTemplateNameNotFound,
    InvalidLaunchTemplateVersionNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    LaunchTemplateLimitExceeded,
    MissingParameter,
    SomeLaunchTemplateNameNotFound,
)
from eucapy.clc.ec2.launch_template_merge import as_request
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import launch_templates
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.errors import ApiError

LONGEST_PAGE = 200
DEFAULT, LATEST = "$Default", "$Latest"
_NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,125}")
_NUMBER = re.compile(r"[0-9]{1,9}")


@ec2.action("CreateLaunchTemplate", unchecked=("LaunchTemplateName",))
async def create_launch_template(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The first version is the default."""
    name = checked_name(p["LaunchTemplateName"])
    tags = tagging.from_specifications(p, "launch-template")
    data, faults = checked_data(call, p["LaunchTemplateData"])
    if await launch_templates.by_name(call.tx, call.account, name) is not None:
        raise InvalidLaunchTemplateNameAlreadyExists
    if await launch_templates.count(call.tx, call.account) >= quotas.LAUNCH_TEMPLATES:
        raise LaunchTemplateLimitExceeded
    creator = call.principal.arn
    row = await launch_templates.insert(call.tx, account=call.account, name=name, created_by=creator, now=call.now)
    await launch_templates.add_version(
        call.tx, row, description=p.get("VersionDescription") or "", created_by=creator, data=data, now=call.now
    )
    put = await tagging.put(call, "launch-template", row.id, tags)
    return {"LaunchTemplate": view(await _again(call, row), put), **warning(faults)}


@ec2.action("ModifyLaunchTemplate", unchecked=("LaunchTemplateName",))
async def modify_launch_template(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Which version is the default: all else of a template stays as it was made."""
    if p.get("LaunchTemplateId") and p.get("LaunchTemplateName"):
        raise InvalidParameterCombination(
            "Either provide launch template ID or launch template name to modify the template."
        )
    row = await required(call, p)
    if p.get("DefaultVersion"):
        number = version_number(row, p["DefaultVersion"])
        if await launch_templates.version(call.tx, row.id, number) is None:
            raise InvalidLaunchTemplateVersionNotFound(
                f"The launch template version {number} is not found for the specified launch template."
            )
        await launch_templates.set_default(call.tx, row.id, number)
    tags = await tag_rows.of(call.tx, [row.id])
    return {"LaunchTemplate": view(await _again(call, row), tags.get(row.id, []))}


@ec2.action("DeleteLaunchTemplate", unchecked=("LaunchTemplateName",))
async def delete_launch_template(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """With all its versions. Instances that were launched from it are as they were."""
    row = await required(call, p)
    tags = await tag_rows.of(call.tx, [row.id])
    await launch_templates.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {"LaunchTemplate": view(row, tags.get(row.id, []))}


@ec2.action("DescribeLaunchTemplates")
async def describe_launch_templates(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Names and ids are alternatives; each that does not exist is an error."""
    names, wanted = list(p.get("LaunchTemplateNames") or ()), list(p.get("LaunchTemplateIds") or ())
    if names and wanted:
        raise InvalidParameterCombination(
            "The parameter launchTemplateIds cannot be used with the parameter launchTemplateNames"
        )
    for name in names:
        if await launch_templates.by_name(call.tx, call.account, name) is None:
            raise SomeLaunchTemplateNameNotFound
    for value in wanted:
        ids.check("lt", value)
        if await launch_templates.by_id(call.tx, call.account, value) is None:
            raise _id_not_found(value)
    rows, more = await paging.described(
        call,
        p,
        page=launch_templates.page,
        declared=launch_templates.FILTERS,
        id_column=launch_templates.table.c.id,
        prefix="lt",
        member="LaunchTemplateIds",
        extra=[launch_templates.table.c.name.in_(names)] if names else (),
        low=1,
        high=LONGEST_PAGE,
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"LaunchTemplates": [view(row, tags.get(row.id, [])) for row in rows], **more}


def view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as LaunchTemplate."""
    return {
        "LaunchTemplateId": row.id,
        "LaunchTemplateName": row.name,
        "CreateTime": row.created_at,
        "CreatedBy": row.created_by,
        "DefaultVersionNumber": row.default_version,
        "LatestVersionNumber": row.latest_version,
        "Tags": tags,
        "Operator": {"Managed": False},
    }


async def required(call: Call, p: Mapping[str, Any]) -> Row:
    """The account's template that `LaunchTemplateId` or `LaunchTemplateName` names: one of them, and it must exist."""
    template_id, name = p.get("LaunchTemplateId"), p.get("LaunchTemplateName")
    if template_id and name:
        raise InvalidParameterCombination(
            "The parameter launchTemplateId cannot be used with the parameter launchTemplateName"
        )
    if template_id:
        row = await launch_templates.by_id(call.tx, call.account, ids.check("lt", template_id))
        if row is None:
            raise _id_not_found(template_id)
        return row
    if not name:
        raise MissingParameter("Either a launch template ID or a launch template name must be specified.")
    row = await launch_templates.by_name(call.tx, call.account, checked_name(name))
    if row is None:
        raise InvalidLaunchTemplateNameNotFound(name=name)
    return row


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidLaunchTemplateNameMalformed
    return name


def version_number(template: Row, version: str | None) -> int:
    """The number that `$Default` (or nothing), `$Latest` or a number means; whether that version exists is not looked at."""
    if not version or version == DEFAULT:
        return int(template.default_version)
    if version == LATEST:
        return int(template.latest_version)
    if not _NUMBER.fullmatch(version):
        raise InvalidParameterValue(
            f"Invalid launch template version: {version}. Specify a number, $Latest or $Default."
        )
    return int(version)


def checked_data(call: Call, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[ApiError]]:
    """The data to keep, and what no launch could do with it. Raises for user data, tags and counts that can never be right."""
    kept: dict[str, Any] = _plain(data)
    launch_options.user_data(kept.get("UserData"))
    if not kept.get("UserData"):
        kept.pop("UserData", None)
    for specification in kept.get("TagSpecifications") or ():
        tagging.checked(specification.get("Tags") or ())
    try:
        launch_options.parse(as_request(kept, {"MinCount": 1, "MaxCount": 1}), call.types)
    except ApiError as fault:
        return kept, [fault]
    return kept, []


def warning(faults: Sequence[ApiError]) -> dict[str, Any]:
    """`Warning` of an answer, when there is something to warn of."""
    if not faults:
        return {}
    return {"Warning": {"Errors": [{"Code": fault.code, "Message": fault.text} for fault in faults]}}


async def _again(call: Call, row: Row) -> Row:
    found = await launch_templates.by_id(call.tx, call.account, row.id)
    assert found is not None
    return found


def _id_not_found(template_id: str) -> ApiError:
    error = ids.missing("lt", [template_id])
    return type(error)(f"The specified launch template, with template ID {template_id}, does not exist.")


def _plain(value: Any) -> Any:
    """As JSON has it: times are seconds since the epoch, as in every answer."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.timestamp() if isinstance(value, datetime) else value
