"""Disk images on a node: the tools that make a guest's disks out of a cached image. `base.py` the promises."""
