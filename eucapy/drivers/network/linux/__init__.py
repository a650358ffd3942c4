"""The network driver over the kernel's own parts.

`driver.py` the verbs, one worker thread · `places.py` a namespace opened: its netlink socket, its links by name ·
`namespaces.py` making, settings, removing · `links.py` taps, VXLAN, veth · `routes.py` addresses, routes, neighbours,
forwarding entries · `publics.py` proxy ARP and gratuitous ARP on the uplink · `rulesets.py` nftables · `passages.py` the
host's own firewall · `flows.py` tracked connections · `resolvers.py` dnsmasq · `events.py` links that come and go.
"""

from eucapy.drivers.network.linux.driver import LinuxNetwork

__all__ = ["LinuxNetwork"]
