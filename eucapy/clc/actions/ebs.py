"""What each operation of the EBS direct APIs takes to be allowed. Source: "Actions, resources, and condition keys for Amazon
Elastic Block Store".
"""

from __future__ import annotations

from eucapy.clc.actions.declaration import Declaration, Facts, Kind, Params, Scope, Targets, needs, tag_facts

KIND = Kind("snapshot", "arn:aws:ec2:{region}::snapshot/{id}", "", ("aws:ResourceTag/${TagKey}",))
"""EC2's snapshots; of their condition keys only the tags are asked for here."""
TARGETS = Targets((KIND,))
_SAYS = ("aws:RequestTag/${TagKey}", "aws:TagKeys", "ebs:Description", "ebs:ParentSnapshot", "ebs:VolumeSize")


def _started(p: Params, scope: Scope) -> Facts:
    facts = dict(tag_facts(p.get("Tags") or ()))
    if p.get("Description"):
        facts["ebs:description"] = str(p["Description"])
    if p.get("ParentSnapshotId"):
        facts["ebs:parentsnapshot"] = KIND.arn.format(region=scope.region, id=p["ParentSnapshotId"])
    if p.get("VolumeSize") is not None:
        facts["ebs:volumesize"] = str(p["VolumeSize"])
    return facts


_NAMED = needs(TARGETS.of("snapshot", "SnapshotId"))

DECLARED: dict[str, Declaration] = {
    "CompleteSnapshot": _NAMED,
    "GetSnapshotBlock": _NAMED,
    "ListChangedBlocks": needs(TARGETS.of("snapshot", "FirstSnapshotId", "SecondSnapshotId")),
    "ListSnapshotBlocks": _NAMED,
    "PutSnapshotBlock": _NAMED,
    "StartSnapshot": needs(TARGETS.new("snapshot"), says=_started, says_keys=_SAYS),
}
