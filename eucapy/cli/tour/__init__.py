"""The guided tour: a tutorial in the terminal that runs every step on the cloud of this machine and explains it.

`steps.py` is what is told and done, as data; `guide.py` shows, runs and, at the end or when it is left early, tidies up.
"""

from eucapy.cli.tour.guide import main

__all__ = ["main"]
