"""The hypervisor family. The interface and its promises: `base.py`."""
