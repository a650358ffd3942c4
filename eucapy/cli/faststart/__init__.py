"""`./faststart`: from a machine to a running cloud, and back.

`command.py` is the order of things; one idea a file: what the machine is (`machine.py`) and what that means
(`checks.py`), the address range (`public_range.py`), folders, certificates and configuration (`layout.py`), the programs
(`programs.py`) under systemd (`systemd.py`) or under our own supervisor (`supervisor.py`), waiting for answers
(`readiness.py`), the AWS profile (`aws_profile.py`), the first instance, the tour, and taking it all away (`clean.py`).

Every step finds what is there and adds what is not, so that the whole can be run again at any time.
"""
