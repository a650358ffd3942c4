"""Versions of launch templates: create, delete, describe; and `applied`, by which RunInstances takes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import launch_templates as templates
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.errors import (
    InvalidLaunchTemplateVersionNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    LaunchTemplateVersionLimitExceeded,
    MissingParameter,
    Unsupported,
)
from eucapy.clc.ec2.launch_template_merge import as_request, inherited
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, launch_templates
from eucapy.database import Row
from eucapy.errors import ApiError

MOST_AT_ONCE = 200
_BATCH = 500


@ec2.action("CreateLaunchTemplateVersion", unchecked=("LaunchTemplateName",))
async def create_launch_template_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The next number; the default stays what it is."""
    template = await templates.required(call, p)
    data, _ = templates.checked_data(call, p["LaunchTemplateData"])
    if p.get("SourceVersion"):
        source = await _version(call, template, templates.version_number(template, p["SourceVersion"]))
        data = inherited(source.data, data)
    _, faults = templates.checked_data(call, data)
    if await launch_templates.count_versions(call.tx, template.id) >= quotas.LAUNCH_TEMPLATE_VERSIONS:
        raise LaunchTemplateVersionLimitExceeded(template=template.id)
    row = await launch_templates.add_version(
        call.tx,
        template,
        description=p.get("VersionDescription") or "",
        created_by=call.principal.arn,
        data=data,
        now=call.now,
    )
    return {"LaunchTemplateVersion": view(row), **templates.warning(faults)}


@ec2.action("DeleteLaunchTemplateVersions", unchecked=("LaunchTemplateName",))
async def delete_launch_template_versions(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Each version for itself, with 200; those that cannot be deleted are told with the reason, an unknown template too."""
    wanted = list(dict.fromkeys(p["Versions"]))
    if len(wanted) > MOST_AT_ONCE:
        raise InvalidParameterValue(f"The number of versions ({len(wanted)}) exceeds the maximum of {MOST_AT_ONCE}.")
    numbers = [_number(version) for version in wanted]
    try:
        template = await templates.required(call, p)
    except ApiError as error:
        code = _WHY.get(error.code)
        if code is None:
            raise
        named = {name: p[name] for name in ("LaunchTemplateId", "LaunchTemplateName") if p.get(name)}
        return _deleted([], [{**named, **_failure(number, code, error.text)} for number in numbers])
    held = await launch_templates.existing(call.tx, template.id, numbers)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    named = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
    for number in numbers:
        if number not in held:
            text = f"The specified launch template version {number} does not exist."
            failed.append({**named, **_failure(number, "launchTemplateVersionDoesNotExist", text)})
        elif number == template.default_version:
            text = "The default version of a launch template cannot be deleted."
            failed.append({**named, **_failure(number, "unexpectedError", text)})
        else:
            await launch_templates.remove_version(call.tx, template.id, number)
            done.append({**named, "VersionNumber": number})
    return _deleted(done, failed)


_WHICH = (
    "To describe the launch template data for all your launch templates, for \u2018--versions\u2019 specify "
    "\u2018$Latest\u2019, \u2018$Default\u2019, or both, and omit \u2018--launch-template-id\u2019, "
    "\u2018--launch-template-name\u2019, and version numbers. To describe the launch template data for a specific launch "
    "template, specify \u2018--launch-template-id\u2019 or \u2018--launch-template-name\u2019, and for "
    "\u2018--versions\u2019 specify one or more of the following values: \u2018$Latest\u2019, \u2018$Default\u2019, or "
    "one or more version numbers."
)
"""EC2's own text, with the quotes it uses; both for a request that names nothing and for numbers without a template."""


@ec2.action("DescribeLaunchTemplateVersions", unchecked=("LaunchTemplateName",))
async def describe_launch_template_versions(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Of one template, the newest first; or the latest and default versions of all templates of the account."""
    limit, token = paging.bounds(p, low=1, high=templates.LONGEST_PAGE)
    limit = limit or templates.LONGEST_PAGE
    declared = {**launch_templates.VERSION_FILTERS, **dict.fromkeys(_IN_DATA, filters.always)}
    stored = filters.where(declared, p.get("Filters"))
    tests = [(_IN_DATA[one["Name"]], one["Values"]) for one in p.get("Filters") or () if one["Name"] in _IN_DATA]
    conditions = [*await _asked(call, p), *stored]
    template_id, _, number = paging.position(call, token).partition("/")
    after = (template_id, int(number)) if template_id else None
    found: list[Row] = []
    while len(found) <= limit:
        # Filters look at the data, which the database keeps as text: read on until the page is full.
        batch = limit + 1 if not tests else _BATCH
        rows = await launch_templates.page_of_versions(call.tx, call.account, conditions, after, batch)
        found += [row for row in rows if all(test(row, values) for test, values in tests)]
        if len(rows) < batch:
            break
        after = (rows[-1].template_id, rows[-1].number)
    found, more = paging.cut(found, limit)
    out: dict[str, Any] = {"LaunchTemplateVersions": [view(row) for row in found]}
    if more:
        out["NextToken"] = call.token(f"{found[-1].template_id}/{found[-1].number}")
    return out


async def applied(call: Call, p: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """RunInstances' parameters with those of its launch template, and the tags that tell which it was.

    EC2 gives these to every instance that is launched from a template; nobody can set or delete them. Raises EC2's errors
    for templates and versions that do not exist.
    """
    specification = p.get("LaunchTemplate")
    if not specification:
        return p, {}
    template = await templates.required(call, specification)
    row = await _version(call, template, templates.version_number(template, specification.get("Version")))
    request = as_request(row.data, {name: value for name, value in p.items() if name != "LaunchTemplate"})
    if request.get("InstanceRequirements"):
        raise Unsupported("Launch templates with InstanceRequirements are not supported by RunInstances.")
    return request, {"aws:ec2launchtemplate:id": template.id, "aws:ec2launchtemplate:version": str(row.number)}


async def as_carried_out(call: Call, p: Mapping[str, Any]) -> Mapping[str, Any]:
    """RunInstances' parameters with those of its launch template, which it still names: what has to be allowed."""
    merged, _ = await applied(call, p)
    return {**merged, "LaunchTemplate": p["LaunchTemplate"]} if p.get("LaunchTemplate") else p


def view(row: Row) -> dict[str, Any]:
    """A row as LaunchTemplateVersion."""
    out = {
        "LaunchTemplateId": row.template_id,
        "LaunchTemplateName": row.name,
        "VersionNumber": row.number,
        "CreateTime": row.created_at,
        "CreatedBy": row.created_by,
        "DefaultVersion": row.number == row.default_version,
        "LaunchTemplateData": row.data,
        "Operator": {"Managed": False},
    }
    if row.description:
        out["VersionDescription"] = row.description
    return out


async def _asked(call: Call, p: Mapping[str, Any]) -> list[filters.Condition]:
    """Which versions the request is about; raises for a template and for versions that do not exist."""
    versions, table = launch_templates.versions, launch_templates.table
    wanted = list(dict.fromkeys(p.get("Versions") or ()))
    bounds = [p.get("MinVersion"), p.get("MaxVersion")]
    if wanted and any(bounds):
        raise InvalidParameterCombination("The parameter versions cannot be used with minVersion and maxVersion")
    if not (p.get("LaunchTemplateId") or p.get("LaunchTemplateName")):
        if not wanted:
            raise MissingParameter(_WHICH)
        if not set(wanted) <= {templates.DEFAULT, templates.LATEST}:
            raise InvalidParameterValue(_WHICH)
        return [launch_templates.marked(default=templates.DEFAULT in wanted, latest=templates.LATEST in wanted)]
    template = await templates.required(call, p)
    conditions: list[filters.Condition] = [table.c.id == template.id]
    if wanted:
        numbers = [templates.version_number(template, version) for version in wanted]
        held = await launch_templates.existing(call.tx, template.id, numbers)
        for number in numbers:
            if number not in held:
                raise InvalidLaunchTemplateVersionNotFound(version=number, template=template.id)
        conditions.append(versions.c.number.in_(numbers))
    least, most = bounds
    if least:
        conditions.append(versions.c.number >= _number(least))
    if most:
        conditions.append(versions.c.number <= _number(most))
    return conditions


async def _version(call: Call, template: Row, number: int) -> Row:
    row = await launch_templates.version(call.tx, template.id, number)
    if row is None:
        raise InvalidLaunchTemplateVersionNotFound(version=number, template=template.id)
    return row


def _number(version: str) -> int:
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise InvalidParameterValue(f"Invalid launch template version: {version}. Specify a number.")
    return int(version)


_WHY = {
    "InvalidLaunchTemplateId.NotFound": "launchTemplateIdDoesNotExist",
    "InvalidLaunchTemplateId.Malformed": "launchTemplateIdMalformed",
    "InvalidLaunchTemplateName.NotFoundException": "launchTemplateNameDoesNotExist",
    "InvalidLaunchTemplateName.MalformedException": "launchTemplateNameMalformed",
}
"""DeleteLaunchTemplateVersions' own codes."""


def _deleted(done: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    return {"SuccessfullyDeletedLaunchTemplateVersions": done, "UnsuccessfullyDeletedLaunchTemplateVersions": failed}


def _failure(number: int, code: str, message: str) -> dict[str, Any]:
    return {"VersionNumber": number, "ResponseError": {"Code": code, "Message": message}}


Test = Callable[[Row, Sequence[str]], bool]


def _member(*path: str) -> Test:
    """A member of the data; in a list, of any entry."""

    def test(row: Row, values: Sequence[str]) -> bool:
        return _matches(_along(row.data, path), values)

    return test


def _along(value: Any, path: Sequence[str]) -> list[str]:
    if isinstance(value, list):
        return [found for entry in value for found in _along(entry, path)]
    if path:
        return _along(value[path[0]], path[1:]) if isinstance(value, Mapping) and path[0] in value else []
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _matches(found: Sequence[str], values: Sequence[str]) -> bool:
    patterns = [filters.pattern(value) for value in values]
    return any(one.fullmatch(text) for one in patterns for text in found)


_IN_DATA: dict[str, Test] = {
    "ebs-optimized": _member("EbsOptimized"),
    "host-resource-group-arn": _member("Placement", "HostResourceGroupArn"),
    "http-endpoint": _member("MetadataOptions", "HttpEndpoint"),
    "http-protocol-ipv4": lambda row, values: _matches(["enabled"], values),
    "http-tokens": _member("MetadataOptions", "HttpTokens"),
    "iam-instance-profile": _member("IamInstanceProfile", "Arn"),
    "image-id": _member("ImageId"),
    "instance-type": _member("InstanceType"),
    "kernel-id": _member("KernelId"),
    "license-configuration-arn": _member("LicenseSpecifications", "LicenseConfigurationArn"),
    "network-card-index": _member("NetworkInterfaces", "NetworkCardIndex"),
    "ram-disk-id": _member("RamDiskId"),
}
