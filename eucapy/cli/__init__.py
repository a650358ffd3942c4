"""Administration: the `eucapy` command and, in `faststart/`, the installer.

`main.py` chooses the command, a file per group of commands does it. `installation.py` is the record of the cloud that
runs on this machine, `operator.py` the line to its cloud controller's operator port. The composition roots are never
imported from here: `programs.py` says how they are run.
"""
