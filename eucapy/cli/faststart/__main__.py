"""`python -m eucapy.cli.faststart`: what the bash script `faststart` hands over to once Python is there."""

import sys

from eucapy.cli.faststart.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
