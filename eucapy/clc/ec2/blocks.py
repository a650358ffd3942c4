"""Address blocks in parameters: checked, and made canonical as EC2 does (`100.68.0.18/18` is `100.68.0.0/18`)."""

from __future__ import annotations

import ipaddress

from eucapy.clc.ec2.errors import InvalidParameterValue


def ipv6(text: str, parameter: str) -> ipaddress.IPv6Network:
    """An IPv6 block with its length; InvalidParameterValue."""
    _, slash, length = text.partition("/")
    try:
        if not slash or not length.isdecimal() or "%" in text:
            raise ValueError
        return ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        raise InvalidParameterValue(f"invalid value for parameter {parameter}: {text}") from None


def ipv4(text: str, parameter: str = "cidrBlock") -> ipaddress.IPv4Network:
    """An IPv4 block with its length; InvalidParameterValue in EC2's words."""
    _, slash, length = text.partition("/")
    try:
        if not slash or not length.isdecimal():
            raise ValueError
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidParameterValue(
            f"Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block."
        ) from None
