"""Proxies: volumes of other hosts, made reachable to guests of this one. Interface: `base.py`."""
