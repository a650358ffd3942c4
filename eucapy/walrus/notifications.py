"""Event notifications: what a configuration may be, which destinations an event is for, and how it looks. Pure.

A destination is an ARN of SQS, SNS or Lambda; where events for it go is the deployment's business (`workers/notifier.py`).
The handlers: `s3/notifications.py`; who records events: `events.py`.
Source: "Event message structure", "Event notification types and destinations", S3 user guide; errors as the service words
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidArgument, MalformedXML, NotImplementedS3

QUEUE, TOPIC, FUNCTION = "Queue", "Topic", "CloudFunction"
_KINDS = (
    (TOPIC, "TopicConfigurations", "TopicArn", "sns"),
    (QUEUE, "QueueConfigurations", "QueueArn", "sqs"),
    (FUNCTION, "LambdaFunctionConfigurations", "LambdaFunctionArn", "lambda"),
)
_MEMBERS = {kind: (member, arn) for kind, member, arn, _ in _KINDS}
_ARN = re.compile(r"arn:[a-z0-9-]+:([a-z0-9-]+):([a-z0-9-]*):(\d{12}):(.+)\Z", re.ASCII)
EVENTS = frozenset(
    f"s3:{name}"
    for name in (
        "ObjectCreated:*", "ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:*", "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:*", "ObjectTagging:Put", "ObjectTagging:Delete",
        "ObjectAcl:Put", "LifecycleExpiration:*", "LifecycleExpiration:Delete",
        "LifecycleExpiration:DeleteMarkerCreated", "ReducedRedundancyLostObject", "ObjectRestore:*",
        "ObjectRestore:Post", "ObjectRestore:Completed", "ObjectRestore:Delete", "LifecycleTransition",
        "IntelligentTiering", "Replication:*", "Replication:OperationFailedReplication",
        "Replication:OperationMissedThreshold", "Replication:OperationReplicatedAfterThreshold",
        "Replication:OperationNotTracked",
    )
)  # fmt: skip
"""What may be asked for. Those of storage tiers, restores and replication cannot happen here and never come."""
_NEWER = ("ObjectTagging:", "ObjectAcl:", "LifecycleExpiration:")


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events of keys with this prefix and suffix go to `arn`; None: not asked for."""

    id: str
    kind: str
    arn: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None


Rules = tuple[Rule, ...]
_decoder = msgspec.json.Decoder(Rules)


@lru_cache(maxsize=1024)
def load(document: str) -> Rules:
    return _decoder.decode(document) if document else ()


def dump(rules: Rules) -> str:
    return msgspec.json.encode(rules).decode() if rules else ""


def of_configuration(given: Mapping[str, Any], new_id: Sequence[str]) -> Rules:
    """The rules of a NotificationConfiguration; those without an id take one of `new_id`.

    Raises MalformedXML, InvalidArgument; NotImplemented for EventBridge.
    """
    if given.get("EventBridgeConfiguration") is not None:
        raise NotImplementedS3()
    ids = iter(new_id)
    rules: list[Rule] = []
    for kind, member, arn_member, service in _KINDS:
        for each in given.get(member) or ():
            arn = each.get(arn_member)
            if not arn or not each.get("Events"):
                raise MalformedXML()
            _check_arn(arn, kind, service)
            prefix, suffix = _filter(each.get("Filter") or {})
            rules.append(Rule(each.get("Id") or next(ids), kind, arn, _events(each["Events"]), prefix, suffix))
    if len({rule.id for rule in rules}) != len(rules):
        raise _wrong("Same ID used for multiple configurations. IDs must be unique")
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            _refuse_overlap(rule, other)
    return tuple(rules)


def _wrong(text: str, name: str | None = None, value: str | None = None) -> InvalidArgument:
    return InvalidArgument(text, fields={} if name is None else {"ArgumentName": name, "ArgumentValue": value})


def _check_arn(arn: str, kind: str, service: str) -> None:
    found = _ARN.match(arn)
    if found is None:
        raise _wrong("The ARN could not be parsed", kind, arn)
    if found.group(1) != service:
        raise _wrong("The ARN is not well formed", kind, arn)


def _events(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in EVENTS:
            raise _wrong("A specified event is not supported for notifications.", "Event", name)
    return tuple(names)


def _filter(given: Mapping[str, Any]) -> tuple[str | None, str | None]:
    found: dict[str, str] = {}
    for rule in (given.get("Key") or {}).get("FilterRules") or ():
        name = str(rule.get("Name", "")).capitalize()
        if name not in ("Prefix", "Suffix"):
            raise _wrong("filter rule name must be either prefix or suffix", "FilterRule.Name", rule.get("Name"))
        if name in found:
            raise _wrong(f"Cannot specify more than one {name.lower()} rule in a filter.")
        value = rule.get("Value") or ""
        if len(value.encode("utf-8", "surrogateescape")) > 1024:
            raise _wrong("Size of filter rule value cannot exceed 1024 bytes", "FilterRule.Value", value[:100])
        found[name] = value
    return found.get("Prefix"), found.get("Suffix")


def _refuse_overlap(one: Rule, other: Rule) -> None:
    """An event never has two destinations."""
    shared = any(_covers(a, b) or _covers(b, a) for a in one.events for b in other.events)
    prefixes = (one.prefix or "", other.prefix or "")
    suffixes = (one.suffix or "", other.suffix or "")
    if not shared or not _nested(prefixes, str.startswith) or not _nested(suffixes, str.endswith):
        return
    if not any((*prefixes, *suffixes)):
        raise _wrong("Configurations overlap. Configurations on the same bucket cannot share a common event type.")
    raise _wrong(
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping "
        "for the same event type."
    )


def _covers(pattern: str, event: str) -> bool:
    return pattern == event or (pattern.endswith(":*") and event.startswith(pattern[:-1]))


def _nested(texts: tuple[str, str], begins: Any) -> bool:
    return bool(begins(texts[0], texts[1]) or begins(texts[1], texts[0]))


def view(rules: Rules) -> dict[str, Any]:
    """As the members of an answer."""
    answer: dict[str, Any] = {}
    for rule in rules:
        member, arn_member = _MEMBERS[rule.kind]
        shown: dict[str, Any] = {"Id": rule.id, arn_member: rule.arn, "Events": list(rule.events)}
        filters = [
            {"Name": name, "Value": value}
            for name, value in (("Prefix", rule.prefix), ("Suffix", rule.suffix))
            if value is not None
        ]
        if filters:
            shown["Filter"] = {"Key": {"FilterRules": filters}}
        answer.setdefault(member, []).append(shown)
    return answer


def choose(rules: Rules, event: str, key: str) -> list[Rule]:
    """The rules that an event, without `s3:`, of a key is for."""
    return [
        rule
        for rule in rules
        if any(_covers(each, f"s3:{event}") for each in rule.events)
        and key.startswith(rule.prefix or "")
        and key.endswith(rule.suffix or "")
    ]


def record(
    event: str,
    rule_id: str,
    bucket: Mapping[str, str],
    object_: Mapping[str, Any],
    when: str,
    who: str,
    origin: Mapping[str, str],
) -> dict[str, Any]:
    """One event as a record. `bucket` has name, owner and region; `origin` address, request id and host id."""
    return {
        "eventVersion": "2.3" if event.startswith(_NEWER) else "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket["region"],
        "eventTime": when,
        "eventName": event,
        "userIdentity": {"principalId": who},
        "requestParameters": {"sourceIPAddress": origin["address"]},
        "responseElements": {"x-amz-request-id": origin["request"], "x-amz-id-2": origin["host"]},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule_id,
            "bucket": {
                "name": bucket["name"],
                "ownerIdentity": {"principalId": bucket["owner"]},
                "arn": f"arn:aws:s3:::{bucket['name']}",
            },
            "object": dict(object_),
        },
    }


def test_event(bucket: str, when: str, request_id: str, host: str) -> dict[str, str]:
    """What a destination gets when it is configured."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": when,
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": host,
    }
