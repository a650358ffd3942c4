"""Guest images made here, from the distribution's own packages: builders, run by the installer and by the tests.

`starter.py` makes the small guest, `debian.py` a full Debian with cloud-init. Both stand on `kernel.py` (Debian's cloud
kernel, unpacked), `initramfs.py` and `disk_image.py` (bootable disks from files alone), and keep what they made in a
`BuildCache`. Needed programs and their packages: `requirements.py`.
"""
