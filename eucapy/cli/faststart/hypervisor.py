"""`python -m eucapy.cli.faststart.hypervisor DIR`: prepare the cloud's own libvirt daemon and become it.

Preparing at every start, not at installation, is what makes a reboot of the host unremarkable: folders below /run come
and go with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from eucapy.cli.faststart.programs import hypervisor_of
from eucapy.run import become

if __name__ == "__main__":
    daemon = hypervisor_of(Path(sys.argv[1]))
    daemon.prepare()
    become(daemon.argv())
