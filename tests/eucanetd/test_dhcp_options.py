"""The DHCP options of a VPC in its resolver's file, which dnsmasq itself has to accept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.compile.resolver import resolver
from eucapy.run import run_now
from eucapy.wire.network import SubnetSpec, VpcSpec

BASE = VpcSpec(
    vpc_id="vpc-1",
    vni=5000,
    cidrs=("10.0.0.0/16",),
    subnets=(SubnetSpec(subnet_id="subnet-1", cidr="10.0.1.0/24", gateway="10.0.1.1"),),
)


def config(vpc: VpcSpec) -> list[str]:
    return resolver(vpc, [], Layout()).config.splitlines()


def test_the_options_of_a_vpc_stand_in_its_resolvers_file() -> None:
    vpc = replace(BASE, ntp_servers=("192.0.2.3", "192.0.2.4"), netbios_servers=("192.0.2.5",), netbios_node_type="2")
    assert [line for line in config(vpc) if line not in config(BASE)] == [
        "dhcp-option=option:ntp-server,192.0.2.3,192.0.2.4",
        "dhcp-option=option:netbios-ns,192.0.2.5",
        "dhcp-option=option:netbios-nodetype,2",
    ]


def test_without_dns_support_the_resolver_gives_addresses_alone() -> None:
    assert "port=0" not in config(BASE)
    assert [line for line in config(replace(BASE, dns=False)) if line not in config(BASE)] == ["port=0"]


def test_what_is_no_address_stands_in_no_file() -> None:
    with pytest.raises(ValueError):
        config(replace(BASE, ntp_servers=("time.example\nport=53",)))


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
def test_dnsmasq_takes_the_file(tmp_path: Path) -> None:
    vpc = replace(BASE, dns=False, ntp_servers=("192.0.2.3",), netbios_servers=("192.0.2.5",), netbios_node_type="2")
    written = tmp_path / "config"
    written.write_text(resolver(vpc, [], Layout()).config.replace("{folder}", str(tmp_path)))
    run_now("dnsmasq", "--test", f"--conf-file={written}")
