"""The filters of DescribeInstances, all that EC2 documents, compiled to SQL.

What this cloud's instances never have (Spot requests, product codes, dedicated hosts) matches nothing; what is the
same for all is a constant. Source: EC2 API reference, DescribeInstances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store import filters
from eucapy.clc.store.attachments import table as attachments
from eucapy.clc.store.filters import Condition, Filter, boolean, constant, never, number, text, timestamp
from eucapy.clc.store.instances import table
from eucapy.clc.store.ipv6_addresses import ipv6_addresses
from eucapy.clc.store.network_interfaces import ATTACHED, interface_groups, network_interfaces
from eucapy.clc.store.private_ips import private_ips
from eucapy.clc.store.public_ips import public_ips
from eucapy.clc.store.security_groups import security_groups
from eucapy.clc.store.tags import tag_filters
from eucapy.lifecycle import instance as life

_nic = network_interfaces.c


def _interface(build: Filter) -> Filter:
    """Any of the instance's interfaces is such a one."""
    return filters.exists(lambda values: sa.select(_nic.id).where(_nic.instance_id == table.c.id, build(values)))


def _primary(build: Filter) -> Filter:
    """Its primary interface is such a one."""
    return filters.exists(
        lambda values: sa.select(_nic.id).where(_nic.instance_id == table.c.id, _nic.device_index == 0, build(values))
    )


def _group(build: Filter, primary: bool) -> Filter:
    """Any (or the primary) of its interfaces is in such a group."""

    def select(values: Sequence[str]) -> sa.Select[Any]:
        statement = (
            sa.select(_nic.id)
            .join(interface_groups, interface_groups.c.interface_id == _nic.id)
            .join(security_groups, security_groups.c.id == interface_groups.c.group_id)
            .where(_nic.instance_id == table.c.id, build(values))
        )
        return statement.where(_nic.device_index == 0) if primary else statement

    return filters.exists(select)


def _private(build: Filter) -> Filter:
    """Any private address of its interfaces is such a one."""
    return filters.exists(
        lambda values: (
            sa.select(private_ips.c.ip)
            .join(network_interfaces, _nic.id == private_ips.c.interface_id)
            .where(_nic.instance_id == table.c.id, build(values))
        )
    )


def _ipv6(build: Filter) -> Filter:
    """Any IPv6 address of its interfaces is such a one."""
    return filters.exists(
        lambda values: (
            sa.select(ipv6_addresses.c.ip)
            .join(network_interfaces, _nic.id == ipv6_addresses.c.interface_id)
            .where(_nic.instance_id == table.c.id, build(values))
        )
    )


def _public(build: Filter, primary: bool = False) -> Filter:
    """Any public address (of the primary interface's primary address) is such a one."""

    def select(values: Sequence[str]) -> sa.Select[Any]:
        statement = (
            sa.select(public_ips.c.ip)
            .join(network_interfaces, _nic.id == public_ips.c.interface_id)
            .where(_nic.instance_id == table.c.id, build(values))
        )
        if primary:
            statement = statement.where(_nic.device_index == 0, public_ips.c.private_ip == _nic.private_ip)
        return statement

    return filters.exists(select)


def _volume(build: Filter) -> Filter:
    """Any of its attached volumes is such a one."""
    return filters.exists(
        lambda values: sa.select(attachments.c.id).where(attachments.c.instance_id == table.c.id, build(values))
    )


def _flag(column: sa.ColumnElement[Any], on: str, off: str) -> Filter:
    """A boolean column that EC2 shows as one of two words."""
    return filters.mapped(column, {on: True, off: False})


def _private_name(values: Sequence[str]) -> Condition:
    """`ip-172-31-0-10.ec2.internal`; the domain is the region's own and not compared."""
    shown = sa.literal("ip-") + sa.func.replace(table.c.private_ip, ".", "-")
    return sa.and_(table.c.private_ip != "", filters.matches(shown, [value.partition(".")[0] for value in values]))


def _public_name(values: Sequence[str]) -> Condition:
    """`ec2-203-0-113-5.compute-1.amazonaws.com`; the domain is the region's own and not compared."""
    shown = sa.literal("ec2-") + sa.func.replace(public_ips.c.ip, ".", "-")
    return _public(lambda wanted: filters.matches(shown, [value.partition(".")[0] for value in wanted]))(values)


def _owner(values: Sequence[str]) -> Condition:
    shown = sa.case((public_ips.c.elastic.is_(True), public_ips.c.account), else_="amazon")
    return _public(text(shown))(values)


_has_ipv6 = sa.select(ipv6_addresses.c.ip).where(ipv6_addresses.c.interface_id == _nic.id).exists()
_CODES = {str(state.code): name for name, state in life.INSTANCE.states.items()}

FILTERS: dict[str, Filter] = {
    "affinity": never,
    "architecture": text(table.c.architecture),
    "availability-zone": text(table.c.zone),
    "block-device-mapping.attach-time": _volume(timestamp(attachments.c.attached_at)),
    "block-device-mapping.delete-on-termination": _volume(boolean(attachments.c.delete_on_termination)),
    "block-device-mapping.device-name": _volume(text(attachments.c.device)),
    "block-device-mapping.status": _volume(text(attachments.c.state)),
    "block-device-mapping.volume-id": _volume(text(attachments.c.volume_id)),
    "boot-mode": never,
    "capacity-reservation-id": never,
    "capacity-reservation-specification.capacity-reservation-preference": text(table.c.capacity_reservation),
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id": never,
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn": never,
    "client-token": text(table.c.client_token),
    "current-instance-boot-mode": text(table.c.boot_mode),
    "dns-name": _public_name,
    "ebs-optimized": boolean(table.c.ebs_optimized),
    "ena-support": boolean(table.c.ena),
    "enclave-options.enabled": constant("false"),
    "hibernation-options.configured": constant("false"),
    "host-id": never,
    "hypervisor": constant("xen"),
    "iam-instance-profile.arn": text(sa.func.nullif(table.c.profile_arn, "")),
    "iam-instance-profile.id": text(sa.func.nullif(table.c.profile_id, "")),
    "iam-instance-profile.name": text(sa.func.nullif(table.c.profile_name, "")),
    "image-id": text(table.c.image_id),
    "instance-id": text(table.c.id),
    "instance-lifecycle": never,
    "instance-state-code": filters.mapped(table.c.state, _CODES),
    "instance-state-name": text(table.c.state),
    "instance-type": text(table.c.instance_type),
    "instance.group-id": _group(text(security_groups.c.id), primary=True),
    "instance.group-name": _group(text(security_groups.c.name), primary=True),
    "ip-address": _public(text(public_ips.c.ip), primary=True),
    "ipv6-address": _ipv6(text(ipv6_addresses.c.ip)),
    "kernel-id": never,
    "key-name": text(table.c.key_name),
    "launch-index": number(table.c.launch_index),
    "launch-time": timestamp(table.c.launched_at),
    "maintenance-options.auto-recovery": text(table.c.auto_recovery),
    "metadata-options.http-endpoint": _flag(table.c.metadata_enabled, "enabled", "disabled"),
    "metadata-options.http-protocol-ipv4": constant("enabled"),
    "metadata-options.http-protocol-ipv6": _flag(table.c.metadata_ipv6, "enabled", "disabled"),
    "metadata-options.http-put-response-hop-limit": number(table.c.metadata_hops),
    "metadata-options.http-tokens": text(table.c.metadata_tokens),
    "metadata-options.state": constant("applied"),
    "metadata-options.instance-metadata-tags": _flag(table.c.metadata_tags, "enabled", "disabled"),
    "monitoring-state": _flag(table.c.monitoring, "enabled", "disabled"),
    "network-interface.addresses.association.allocation-id": _public(
        text(sa.case((public_ips.c.elastic.is_(True), public_ips.c.id), else_=None))
    ),
    "network-interface.addresses.association.association-id": _public(
        text(sa.func.nullif(public_ips.c.association_id, ""))
    ),
    "network-interface.addresses.association.carrier-ip": never,
    "network-interface.addresses.association.customer-owned-ip": never,
    "network-interface.addresses.association.ip-owner-id": _owner,
    "network-interface.addresses.association.public-dns-name": _public_name,
    "network-interface.addresses.association.public-ip": _public(text(public_ips.c.ip)),
    "network-interface.addresses.primary": _private(boolean(private_ips.c.is_primary)),
    "network-interface.addresses.private-dns-name": _private_name,
    "network-interface.addresses.private-ip-address": _private(text(private_ips.c.ip)),
    "network-interface.association.allocation-id": _public(
        text(sa.case((public_ips.c.elastic.is_(True), public_ips.c.id), else_=None))
    ),
    "network-interface.association.association-id": _public(text(sa.func.nullif(public_ips.c.association_id, ""))),
    "network-interface.association.carrier-ip": never,
    "network-interface.association.customer-owned-ip": never,
    "network-interface.association.ip-owner-id": _owner,
    "network-interface.association.public-dns-name": _public_name,
    "network-interface.association.public-ip": _public(text(public_ips.c.ip)),
    "network-interface.attachment.attach-time": _interface(timestamp(_nic.attached_at)),
    "network-interface.attachment.attachment-id": _interface(text(_nic.attachment_id)),
    "network-interface.attachment.delete-on-termination": _interface(boolean(_nic.delete_on_termination)),
    "network-interface.attachment.device-index": _interface(number(_nic.device_index)),
    "network-interface.attachment.instance-id": _interface(text(_nic.instance_id)),
    "network-interface.attachment.instance-owner-id": _interface(text(_nic.account)),
    "network-interface.attachment.network-card-index": _interface(constant("0")),
    "network-interface.attachment.status": _interface(text(ATTACHED)),
    "network-interface.availability-zone": _interface(text(_nic.zone)),
    "network-interface.deny-all-igw-traffic": never,
    "network-interface.description": _interface(text(_nic.description)),
    "network-interface.group-id": _group(text(security_groups.c.id), primary=False),
    "network-interface.group-name": _group(text(security_groups.c.name), primary=False),
    "network-interface.ipv4-prefixes.ipv4-prefix": never,
    "network-interface.ipv6-address": _ipv6(text(ipv6_addresses.c.ip)),
    "network-interface.ipv6-addresses.ipv6-address": _ipv6(text(ipv6_addresses.c.ip)),
    "network-interface.ipv6-addresses.is-primary-ipv6": _interface(
        boolean(sa.case((_nic.primary_ipv6, True), (_has_ipv6, False), else_=None))
    ),
    "network-interface.ipv6-native": never,
    "network-interface.ipv6-prefixes.ipv6-prefix": never,
    "network-interface.mac-address": _interface(text(_nic.mac)),
    "network-interface.network-interface-id": _interface(text(_nic.id)),
    "network-interface.operator.managed": _interface(constant("false")),
    "network-interface.operator.principal": never,
    "network-interface.outpost-arn": never,
    "network-interface.owner-id": _interface(text(_nic.account)),
    "network-interface.private-dns-name": _private_name,
    "network-interface.private-ip-address": _interface(text(_nic.private_ip)),
    "network-interface.public-dns-name": _public_name,
    "network-interface.requester-id": never,
    "network-interface.requester-managed": _interface(constant("false")),
    "network-interface.source-dest-check": _interface(boolean(_nic.source_dest_check)),
    "network-interface.status": _interface(constant("in-use")),
    "network-interface.subnet-id": _interface(text(_nic.subnet_id)),
    "network-interface.tag-key": _interface(tag_filters(_nic.id)["tag-key"]),
    "network-interface.tag-value": _interface(tag_filters(_nic.id)["tag-value"]),
    "network-interface.vpc-id": _interface(text(_nic.vpc_id)),
    "network-performance-options.bandwidth-weighting": constant("default"),
    "operator.managed": constant("false"),
    "operator.principal": never,
    "outpost-arn": never,
    "owner-id": text(table.c.account),
    "placement-group-name": text(sa.func.nullif(table.c.placement_group, "")),
    "placement-partition-number": number(sa.func.nullif(table.c.placement_partition, 0)),
    "platform": never,
    "platform-details": constant("Linux/UNIX"),
    "private-dns-name": _private_name,
    "private-dns-name-options.enable-resource-name-dns-a-record": boolean(table.c.name_a_record),
    "private-dns-name-options.enable-resource-name-dns-aaaa-record": constant("false"),
    "private-dns-name-options.hostname-type": text(table.c.hostname_type),
    "private-ip-address": text(table.c.private_ip),
    "product-code": never,
    "product-code.type": never,
    "ramdisk-id": never,
    "reason": text(table.c.transition),
    "requester-id": never,
    "reservation-id": text(table.c.reservation_id),
    "root-device-name": text(table.c.root_device),
    "root-device-type": text(table.c.root_kind),
    "source-dest-check": _primary(boolean(_nic.source_dest_check)),
    "spot-instance-request-id": never,
    "state-reason-code": text(sa.func.nullif(table.c.reason_code, "")),
    "state-reason-message": text(sa.func.nullif(table.c.reason, "")),
    "subnet-id": text(table.c.subnet_id),
    "tenancy": constant("default"),
    "tpm-support": never,
    "usage-operation": constant("RunInstances"),
    "usage-operation-update-time": timestamp(table.c.created_at),
    "virtualization-type": constant("hvm"),
    "vpc-id": text(table.c.vpc_id),
    **tag_filters(table.c.id),
}
