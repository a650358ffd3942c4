"""The guests' kernel: the distribution's own for virtual machines, downloaded by apt from the machine's own sources.

It is unpacked, never installed, and nothing of the host's boot changes. The result is a folder with
`boot/vmlinuz-<release>` and `lib/modules/<release>/`, cached under the package's version. `initramfs.py` takes modules
from it.
"""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from pathlib import Path

from eucapy.guests import requirements
from eucapy.guests.build_cache import BuildCache, content_key
from eucapy.guests.errors import CannotBuild
from eucapy.guests.progress import Progress
from eucapy.run import RunError, run

META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")
"""What stands for the newest such kernel: in Debian, in Ubuntu. Ubuntu's has its modules in a package of their own."""


class KernelError(CannotBuild):
    """The kernel package cannot be found, downloaded or understood."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    package: str
    version: str
    release: str
    root: Path

    @property
    def image(self) -> Path:
        """The bootable kernel."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The folder that holds modules.dep."""
        return self.root / "lib" / "modules" / self.release

    def module_closure(self, names: list[str]) -> list[Path]:
        """The module files for `names` and all they need, in an order in which they can be loaded.

        A name that is not a module of this kernel is left out: what one version has as a module another has built in.
        """
        needs: dict[str, list[str]] = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
        by_name: dict[str, str] = {_module_name(path): path for path in needs}
        ordered: list[str] = []

        def add(path: str) -> None:
            for needed in reversed(needs[path]):
                if needed not in ordered:
                    add(needed)
            if path not in ordered:
                ordered.append(path)

        for name in names:
            if (found := by_name.get(name.replace("-", "_"))) is not None:
                add(found)
        return [self.modules / path for path in ordered]


_MODULES_AT_ONCE = 1000


def module_bytes(path: Path) -> bytes:
    """The module's ELF image, unpacked when the distribution ships it compressed (.ko.xz)."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _module_name(path: str) -> str:
    return Path(path).name.split(".ko")[0].replace("-", "_")


async def fetch(cache: BuildCache, progress: Progress) -> Kernel:
    """The newest cloud kernel that apt offers. Raises KernelError, MissingPrograms."""
    requirements.require(["apt-cache", "apt-get", "dpkg-deb", "depmod"])
    packages, version = await _newest()

    async def build(folder: Path) -> None:
        progress(f"downloading {' '.join(packages)} {version}")
        try:
            # As root apt would hand the download to a user who may not write here.
            await run(
                "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=folder, timeout_s=900
            )
        except RunError as error:
            raise KernelError(f"cannot download {packages[0]}: {error.stderr.strip()[-500:]}") from error
        for archive in sorted(folder.glob("*.deb")):
            progress(f"unpacking {archive.name}")
            await run("dpkg-deb", "-x", str(archive), str(folder), timeout_s=300)
            archive.unlink()
        merge_usr(folder)
        await unpack_modules(folder / "lib" / "modules")
        depmod = str(requirements.locate("depmod"))
        await run(depmod, "-b", str(folder), _release(folder, packages[0]), timeout_s=300)

    root = await cache.get("kernel", content_key(*packages, version), build)
    return Kernel(packages[0], version, _release(root, packages[0]), root)


async def _newest() -> tuple[list[str], str]:
    """The packages that the meta package stands for now (the kernel first), and the kernel's version."""
    for meta in META_PACKAGES:
        found = depends_on((await run("apt-cache", "depends", meta, check=False)).stdout, "linux-image-")
        if not found:
            continue
        kernel = found[0]
        modules = depends_on((await run("apt-cache", "depends", kernel)).stdout, "linux-modules-")
        shown = await run("apt-cache", "show", "--no-all-versions", kernel)
        version = re.search(r"^Version: (\S+)$", shown.stdout, re.MULTILINE)
        if version is None:
            raise KernelError(f"apt shows no version of {kernel}")
        return [kernel, *modules[:1]], version[1]
    raise KernelError(
        f"apt knows no package {' or '.join(META_PACKAGES)}: is this Debian or Ubuntu, and has `apt-get update` been run?"
    )


def depends_on(listing: str, prefix: str) -> list[str]:
    """The real packages with this prefix in what `apt-cache depends` prints."""
    return re.findall(rf"^ +\|?Depends: ({re.escape(prefix)}\S+)$", listing, re.MULTILINE)


def merge_usr(root: Path) -> None:
    """Bring the modules to `lib/modules`, where newer packages (Debian 13) leave it to a link of the installed system."""
    newer, wanted = root / "usr" / "lib" / "modules", root / "lib" / "modules"
    if newer.is_dir() and not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        newer.rename(wanted)


async def unpack_modules(folder: Path) -> None:
    """Ubuntu's modules are packed in a way that not every program here reads: unpack them in place."""
    packed = sorted(str(path) for path in folder.rglob("*.ko.zst"))
    for start in range(0, len(packed), _MODULES_AT_ONCE):
        some = packed[start : start + _MODULES_AT_ONCE]
        await run(str(requirements.locate("zstd")), "-q", "-d", "--rm", "--", *some, timeout_s=300)


def _release(root: Path, package: str) -> str:
    releases = [path.name for path in (root / "lib" / "modules").iterdir() if path.is_dir()]
    if len(releases) != 1 or not (root / "boot" / f"vmlinuz-{releases[0]}").is_file():
        raise KernelError(f"{package} is not packed as expected: modules of {releases or 'no release'}")
    return releases[0]
