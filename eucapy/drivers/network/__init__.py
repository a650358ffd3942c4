"""The network family: what a node's network is made of, and the drivers that make it so.

`model.py` the things (links, routes, rule sets …) and the steps over them · `base.py` the driver's verbs and how a
driver is chosen · `netns.py` network namespaces, and sockets inside them · `linux/` the kernel's own parts through
netlink, nftables and dnsmasq · `fake.py` the same in memory. What a node shall hold is decided in `eucapy/eucanetd`.
"""
