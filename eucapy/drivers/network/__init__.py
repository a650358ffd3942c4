"""The network family: what a node's network is made of, and the drivers that make it so.

`model.py` the things (links, routes, rule sets …) and the steps over them · `base.py` the driver's verbs · `loader.py` how
a driver is chosen · `netns.py` network namespaces, sockets inside them, names in the node's · `linux/` the kernel's own
parts through netlink, nftables and dnsmasq · `fake.py` the same in memory · `removal.py` taking it all away. What a node
shall hold is decided in `eucapy/eucanetd`.
"""
