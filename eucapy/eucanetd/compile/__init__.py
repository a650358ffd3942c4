"""From a network spec to the things that the node shall hold. Pure: no file, no socket, no clock.

`layout.py` names, addresses and sizes that follow from the configuration · `vpc.py` a VPC's namespace and what of it is
in the node's · `node.py` the node's own part · `firewall.py` the rules of a VPC, with `permissions.py` for one group,
`acls.py` and `peerings.py` · `guard.py` the rules of the node · `resolver.py` DHCP and DNS · `text.py` what may stand in
those texts.
"""
