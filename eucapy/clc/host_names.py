"""The DNS names that EC2 gives to addresses: `ip-172-31-0-10.ec2.internal` inside, `ec2-203-0-113-5.…` outside."""

from __future__ import annotations


def domain(region: str) -> str:
    """The region's internal domain; us-east-1 has kept its old one."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def private_host(ip: str) -> str:
    """The host name of a private address, without a domain."""
    return f"ip-{ip.replace('.', '-')}"


def private_name(ip: str, region: str) -> str:
    """The name that a private address has inside its VPC."""
    return f"{private_host(ip)}.{domain(region)}"


def public_name(ip: str, region: str) -> str:
    """The name that EC2 gives a public address."""
    place = "compute-1" if region == "us-east-1" else f"{region}.compute"
    return f"ec2-{ip.replace('.', '-')}.{place}.amazonaws.com"
