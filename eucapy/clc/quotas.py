"""What an account may have, in EC2's own counts. DescribeAccountAttributes and the limit errors say the same figures.

AWS's defaults, except where they are meant to be raised on request: there they are what AWS raises them to.
"""

from __future__ import annotations

VPCS = 100
CIDRS_PER_VPC = 5
"""Of each family."""
SUBNETS_PER_VPC = 200
INTERNET_GATEWAYS = 100
EGRESS_ONLY_GATEWAYS = 100
ROUTE_TABLES_PER_VPC = 200
ROUTES_PER_TABLE = 50
"""Of each family; a prefix list is as many as it may have entries."""
ELASTIC_ADDRESSES = 100
NAT_GATEWAYS_PER_ZONE = 20
PEERINGS_PER_VPC = 125
OUTSTANDING_PEERINGS = 25
"""Requests of an account that wait."""
FLOW_LOGS_PER_RESOURCE = 2
NETWORK_ACLS_PER_VPC = 200
ENTRIES_PER_NETWORK_ACL = 20
"""Of each direction and family, with the one that denies the rest."""
SECURITY_GROUPS = 2500
RULES_PER_SECURITY_GROUP = 60
"""Of each direction and family."""
GROUPS_PER_INTERFACE = 5
NETWORK_INTERFACES = 50_000
"""Of a region: several for each of 10,000 instances. AWS begins with 5,000."""
IPS_PER_INTERFACE = 50
"""Of each family."""
INTERFACES_PER_INSTANCE = 8
DHCP_OPTIONS = 100
PREFIX_LISTS = 100
INSTANCES = 1000
LAUNCH_TEMPLATES = 5000
PLACEMENT_GROUPS = 500
LAUNCH_TEMPLATE_VERSIONS = 10_000
"""Of each template."""
