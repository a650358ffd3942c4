"""The order of things: `faststart [start|stop|status|clean] [options]`.

Without an action: look at the machine, lay out, start, make the first keys, install the starter image, launch the first
instance, and say how to go on. Each part is safe to repeat; a second run ends at the same place, sooner.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eucapy.cli import images, tour
from eucapy.cli.faststart import (
    aws_profile,
    checks,
    clean,
    first_instance,
    layout,
    machine,
    public_range,
    readiness,
    running,
    traces,
)
from eucapy.cli.faststart.progress import Progress
from eucapy.cli.installation import DEFAULT_DATA, DEFAULT_REGION, CliError, Installation, Ports, Record, require_root
from eucapy.guests import menu
from eucapy.run import RunError

TOOLS = Path("/usr/local/bin")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    action: str
    data: Path
    public_range: str
    unattended: bool
    instance: bool
    images: list[str]
    region: str
    port: int
    address: str
    profile: bool
    tour: bool


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; argparse's own errors end with status 2."""
    parser = argparse.ArgumentParser(
        prog="faststart",
        description="From this machine to a running cloud. Safe to run again; everything can be taken away again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""actions:
  (none)    look at the machine, install, start, and launch a first instance
  start     start the cloud that is installed
  stop      stop its programs; guests go on running
  status    what is installed, what runs, and how well
  clean     take away everything that the installation made""",
    )
    parser.add_argument("action", nargs="?", choices=("start", "stop", "status", "clean"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EUCAPY_DATA", DEFAULT_DATA)), metavar="DIR")
    parser.add_argument("--public-range", default="", metavar="A-B", help="public addresses for guests, ten or more")
    parser.add_argument("--unattended", action="store_true", help="ask nothing; take defaults and flags")
    parser.add_argument("--no-instance", action="store_true", help="do not launch a first instance")
    parser.add_argument("--image", action="append", default=[], metavar="NAME", help="install this too: a name of the "
                        "menu (debian), a file, or a URL; repeatable")  # fmt: skip
    parser.add_argument("--region", default="", metavar="NAME", help=f"default {DEFAULT_REGION}")
    parser.add_argument("--address", default="", metavar="IP", help="where the AWS endpoint listens; default 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="the AWS endpoint's port; others follow it; default 8773")
    parser.add_argument("--no-profile", action="store_true", help="write no AWS profile")
    parser.add_argument("--tour", action="store_true", help="take the guided tour (installs first, if need be)")
    options = parser.parse_args(arguments)
    if options.tour and options.action:
        parser.error("--tour takes no action")
    return Options(
        action=options.action or "",
        data=options.data.absolute(),
        public_range=options.public_range,
        unattended=options.unattended or not sys.stdin.isatty(),
        instance=not options.no_instance,
        images=options.image,
        region=options.region,
        port=options.port,
        address=options.address,
        profile=not options.no_profile,
        tour=options.tour,
    )


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    installation = Installation(options.data)
    actions: dict[str, Callable[[Options, Installation], int]] = {
        "": _install,
        "start": _start,
        "stop": _stop,
        "status": _status,
        "clean": _clean,
    }
    try:
        return actions[options.action](options, installation)
    except (CliError, RunError) as error:
        print(f"\nfaststart: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nfaststart: interrupted; run it again to go on", file=sys.stderr)
        return 130


def _install(options: Options, installation: Installation) -> int:
    there = installation.exists()
    if options.tour and there and running.is_running(installation, installation.record()):
        return _tour(options, installation)
    record = installation.record() if there else _new_record(options, installation)
    alive = there and running.is_running(installation, record)
    progress = Progress()
    progress.title("This machine")
    found = machine.gather(installation.data, [] if alive else _ports(options, record), machine.package_mirror())
    findings = checks.judge(found)
    progress.findings(findings)
    missing = [finding for finding in findings if finding.level is checks.Level.MISSING]
    if missing:
        raise CliError(f"this machine cannot be a cloud yet: {', '.join(finding.what for finding in missing)}")

    _choose(options, record, progress)
    layout.ensure_folders(installation)
    progress = Progress(progress.console, installation.folder("log") / "faststart.log")
    installation.save(record)
    progress.title("The cloud")
    with progress.step("certificates") as step:
        issued = layout.ensure_certificates(installation, record)
        step.result(f"issued for {', '.join(issued)}" if issued else "there")
    with progress.step("configuration") as step:
        changed = layout.ensure_configuration(installation, record)
        step.result(f"written to {installation.folder('etc')}" if changed else "there")
    _link_tools(installation, record)
    traces.note_and_prepare(installation, record)
    with progress.step("programs") as step:
        if alive and changed:
            running.restart_programs(installation, record)
        else:
            running.start_programs(installation, record)
        step.result("kept running by systemd" if record.supervised_by == "systemd" else "kept running by a supervisor")
    made_now = _bring_up(installation, progress)
    if options.profile:
        _write_profile(installation, record, progress)
    image_id = _install_images(options, installation, progress)
    first = _first_instance(options, installation, image_id, progress)
    _farewell(installation, progress, first, made_now=made_now)
    if options.tour:
        return _tour(options, installation)
    return 0


def _new_record(options: Options, installation: Installation) -> Record:
    return Record(prefix=layout.prefix_for(installation.data, DEFAULT_DATA))


def _ports(options: Options, record: Record) -> list[int]:
    ports = Ports.from_base(options.port) if options.port else record.ports
    return [
        ports.api,
        ports.operator,
        ports.cc,
        ports.sc,
        ports.nc,
        ports.eucanetd,
        ports.walrus,
        ports.walrus_internal,
    ]


def _choose(options: Options, record: Record, progress: Progress) -> None:
    """Settle what is open: flags first, then what an earlier run chose, then the person at the keyboard."""
    if options.port:
        record.ports = Ports.from_base(options.port)
    if options.address:
        record.address = options.address
    if options.region:
        record.region, record.zone = options.region, f"{options.region}a"
    if options.public_range:
        record.public_range, record.public_is_local = str(public_range.parse(options.public_range)), False
    elif not record.public_range:
        suggested = public_range.host_local(network for _interface, network in machine.local_networks())
        answer = "" if options.unattended else _ask_range(progress, suggested)
        record.public_range = str(public_range.parse(answer)) if answer else str(suggested)
        record.public_is_local = not answer
    chosen = public_range.parse(record.public_range)
    record.public_interface = next(
        (interface for interface, network in machine.local_networks() if chosen.within(network)), ""
    )
    if record.public_is_local:
        progress.note(
            f"Guests' public addresses are {record.public_range}. Only this machine reaches them; give a range of "
            "your network with --public-range A-B to have others reach them too."
        )
    else:
        progress.note(f"Guests' public addresses are {record.public_range}.")


def _ask_range(progress: Progress, suggested: public_range.PublicRange) -> str:
    progress.title("Public addresses")
    progress.note("Guests get public addresses out of a range of your network, ten or more that nobody uses (A-B).")
    progress.note(f"Enter alone takes {suggested}, which only this machine reaches.")
    while True:
        answer = progress.console.input("  range: ").strip()
        try:
            return str(public_range.parse(answer)) if answer else ""
        except CliError as error:
            progress.warn(str(error))


def _link_tools(installation: Installation, record: Record, folder: Path = TOOLS) -> None:
    """Put `eucapy` on the path, and the aws CLI where there is none, unless something of that name is there."""
    for name in ("eucapy", "aws"):
        tool, link = Path(sys.executable).with_name(name), folder / name
        wanted = installation.data == DEFAULT_DATA and (
            name == "eucapy" or shutil.which(name, path=_user_path()) is None
        )
        if wanted and tool.exists() and not link.exists() and folder.is_dir():
            link.unlink(missing_ok=True)
            link.symlink_to(tool)
        if link.is_symlink() and link.resolve() == tool.resolve() and str(link) not in record.made:
            record.made.append(str(link))
            installation.save(record)


def _user_path() -> str:
    """Where programs are looked for, without the environment that this one may run from."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(folder for folder in os.get_exec_path() if folder != own)


def _bring_up(installation: Installation, progress: Progress) -> bool:
    """From started programs to a cloud that answers; whether the operator's keys were made just now."""
    with progress.step("waiting for the cloud controller"):
        operator = readiness.wait_for_operator(installation)
    with progress.step("account and keys") as step:
        readiness.register_components(operator, installation)
        _keys, made_now = readiness.ensure_admin(operator, installation)
        step.result("made" if made_now else "there")
    with progress.step("waiting for every component") as step:
        readiness.wait_for_components(operator, installation, step.say)
        step.result("all answer")
    return made_now


def _write_profile(installation: Installation, record: Record, progress: Progress) -> None:
    home, user, group = aws_profile.home_of_user()
    if record.profile and Path(record.profile_home) != home:
        return
    settings = installation.settings("clc")
    record.profile = aws_profile.write(
        home, installation.endpoint_url, settings["region"], installation.admin(), record.profile, (user, group)
    )
    record.profile_home = str(home)
    installation.save(record)
    progress.note(f"AWS profile {record.profile} is in {home / '.aws'}")


def _install_images(options: Options, installation: Installation, progress: Progress) -> str:
    """The starter image, and what else was asked for; the starter's id."""
    progress.title("Images")
    wanted = [source for source in options.images if source != "starter"]
    if not options.unattended and not options.images and len(installation.record().images) == 0:
        wanted = _ask_images(progress)
    ids: list[str] = []
    for source in ["starter", *wanted]:
        with progress.step(f"image {source}") as step:
            known = images.installed(installation, source)
            ids.append(known or images.install_image(installation, source, step.say))
            step.result(f"{ids[-1]}{', there' if known else ''}")
    return ids[0]


def _ask_images(progress: Progress) -> list[str]:
    for offered in menu.CHOICES:
        always = " (always installed)" if offered.name == "starter" else ""
        progress.note(f"{offered.name:10} {offered.title}; takes {offered.cost}{always}")
    answer = progress.console.input("  more images (names, files or URLs, separated by blanks; Enter for none): ")
    return answer.split()


def _first_instance(
    options: Options, installation: Installation, image_id: str, progress: Progress
) -> first_instance.FirstInstance | None:
    if not options.instance:
        return None
    progress.title("The first instance")
    with progress.step("launching and logging in") as step:
        first = first_instance.ensure(installation, image_id, step.say)
        step.result(f"{first.instance_id} at {first.address}")
    return first


def _farewell(
    installation: Installation, progress: Progress, first: first_instance.FirstInstance | None, *, made_now: bool
) -> None:
    record, keys = installation.record(), installation.admin()
    progress.title("Your cloud runs")
    progress.note(f"endpoint     {installation.endpoint_url}   region {installation.settings('clc')['region']}")
    progress.note(f"account      {keys.account} ({keys.account_id}), user {keys.user}")
    progress.note(f"access key   {keys.access_key_id}")
    if made_now:
        progress.secret(f"secret key   {keys.secret_access_key}")
        progress.note(f"             shown once; kept in {installation.admin_file} (root alone reads it)")
    progress.note("")
    if record.profile:
        progress.command(f"aws --profile {record.profile} ec2 describe-instances")
    # Keys are root's to read: who came here by sudo goes on by sudo.
    sudo = "sudo " if os.environ.get("SUDO_USER") else ""
    data = "" if installation.data == DEFAULT_DATA else f"--data {installation.data} "
    progress.command(f'eval "$({sudo}eucapy {data}env)"')
    if first is not None:
        progress.command(f"{sudo}{first.ssh}")
    progress.note("")
    progress.note("Go on:")
    suffix = "" if installation.data == DEFAULT_DATA else f" --data {installation.data}"
    progress.command(f"{sudo}./faststart --tour{suffix}")
    progress.command(f"{sudo}./faststart status{suffix}   (stop, start, clean)")


def _start(options: Options, installation: Installation) -> int:
    require_root("starting the cloud")
    record = installation.record()
    progress = Progress(log=installation.folder("log") / "faststart.log")
    progress.title("Starting the cloud")
    traces.note_and_prepare(installation, record)
    with progress.step("programs"):
        running.start_programs(installation, record)
    _bring_up(installation, progress)
    progress.note(f"The endpoint is {installation.endpoint_url}")
    return 0


def _stop(options: Options, installation: Installation) -> int:
    require_root("stopping the cloud")
    record = installation.record()
    progress = Progress(log=installation.folder("log") / "faststart.log")
    progress.title("Stopping the cloud")
    with progress.step("programs") as step:
        step.result("stopped" if running.stop_programs(installation, record) else "none ran")
    progress.note("Guests go on running. Start the cloud again: ./faststart start")
    return 0


def _status(options: Options, installation: Installation) -> int:
    from eucapy.cli import status

    return status.show(installation)


def _clean(options: Options, installation: Installation) -> int:
    require_root("removing the cloud")
    installation.record()
    progress = Progress()
    progress.title(f"Removing the cloud in {installation.data}")
    if not options.unattended:
        progress.note("Every instance, volume, object and key of this cloud is lost.")
        if progress.console.input("  Type 'clean' to go on: ").strip() != "clean":
            progress.note("Nothing was removed.")
            return 1
    clean.clean(installation, progress)
    progress.note("Everything that the installation made is gone.")
    return 0


def _tour(options: Options, installation: Installation) -> int:
    arguments = ["tour", *(["--unattended"] if options.unattended else [])]
    return tour.main(arguments, installation.data)
