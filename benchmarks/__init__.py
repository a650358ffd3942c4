"""Benchmarks: this cloud beside its peers, in one run, on one machine, with one client.

`python -m benchmarks` (or `make bench`) measures; `servers.py` starts and ends what is measured, `peers.py` installs the
others, `clients.py` runs the load, `rows.py` says which figures count and what they have to reach, `report.py` and
`plot.py` write them down. docs/benchmarks.md tells how to read the result.
"""
