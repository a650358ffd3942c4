"""What the tour tells and does: a list of steps, each some words and commands that are really run.

A command is a line as a person would type it; `{name}` stands for what an earlier command answered (`save`). `undo` is
run at the end, the last step's first, for every step that was begun, so that the tour leaves the cloud as it found it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A line to run. `save`: the name under which its answer is kept. `to_file`: the answer goes there (0600) instead
    of the screen. `guest`: run inside the instance, by ssh. `tries_for_s`: tried again until it succeeds, so long."""

    line: str
    save: str = ""
    to_file: str = ""
    guest: bool = False
    tries_for_s: float = 0.0


@dataclass(frozen=True)
class Step:
    """One idea of the tour."""

    title: str
    text: str
    commands: tuple[Command, ...]
    undo: tuple[str, ...] = ()
    undone_first: bool = False
    """Undo this before the others: they hold on to what it made."""


STEPS: tuple[Step, ...] = (
    Step(
        "Where am I?",
        'Every AWS tool works here; only the endpoint differs. Your profile (or `eval "$(eucapy env)"`) holds the '
        "endpoint and your keys, and that is all there is to it. First: who are we, and what does the cloud look like? "
        "A region is a cloud; a zone is a group of machines in it with a power supply of their own.",
        (
            Command("aws sts get-caller-identity"),
            Command("aws ec2 describe-availability-zones --query 'AvailabilityZones[].[ZoneName,State]' --output text"),
        ),
    ),
    Step(
        "Images",
        "An image is what an instance's disk starts as. The one that was installed with the cloud is small and boots "
        "in seconds; `eucapy image menu` shows others.",
        (
            Command("aws ec2 describe-images --query 'Images[].[ImageId,Name,State]' --output text"),
            Command(
                "aws ec2 describe-images --filters 'Name=name,Values=eucapy-starter-*' Name=state,Values=available "
                "--query 'Images[0].ImageId' --output text",
                save="image",
            ),
        ),
    ),
    Step(
        "A key pair",
        "Nobody logs in with a password here. The cloud makes a pair of keys, gives you the private half once, keeps "
        "only the public half, and puts that into your instances.",
        (
            Command(
                "aws ec2 create-key-pair --key-name {tag} --key-type ed25519 --query KeyMaterial --output text",
                to_file="{key_file}",
            ),
        ),
        undo=("aws ec2 delete-key-pair --key-name {tag}",),
    ),
    Step(
        "A security group",
        "A firewall around each instance: nothing comes in but what a rule allows. We open ssh.",
        (
            Command(
                "aws ec2 create-security-group --group-name {tag} --description 'The guided tour' "
                "--query GroupId --output text",
                save="group",
            ),
            Command(
                "aws ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 22 "
                "--cidr 0.0.0.0/0 --query Return"
            ),
        ),
        undo=("aws ec2 delete-security-group --group-id {group}",),
    ),
    Step(
        "An instance",
        "Now the machine itself. RunInstances answers at once with `pending`; behind it the cloud chooses a node, "
        "gives it a disk over the image (nothing is copied), a network interface and a public address, and boots it.",
        (
            Command(
                "aws ec2 run-instances --image-id {image} --instance-type t2.nano --key-name {tag} "
                "--security-group-ids {group} --query 'Instances[0].InstanceId' --output text",
                save="instance",
            ),
            Command("aws ec2 create-tags --resources {instance} --tags Key=Name,Value=tour"),
            Command("aws ec2 wait instance-running --instance-ids {instance}"),
            Command(
                "aws ec2 describe-instances --instance-ids {instance} "
                "--query 'Reservations[0].Instances[0].PublicIpAddress' --output text",
                save="address",
            ),
        ),
        undo=(
            "aws ec2 terminate-instances --instance-ids {instance} --query 'TerminatingInstances[0].CurrentState.Name'",
            "aws ec2 wait instance-terminated --instance-ids {instance}",
        ),
        undone_first=True,  # its end sets attached volumes free
    ),
    Step(
        "Logging in",
        "The guest asked the metadata service at 169.254.169.254 for its key, its name and its user data, as on AWS.",
        (
            Command("uname -a; uptime", guest=True, tries_for_s=300),
            Command("ip -4 addr show eth0", guest=True),
        ),
    ),
    Step(
        "A volume",
        "A disk that lives longer than an instance. We make one of 1 GiB, attach it to the running instance, and "
        "inside find it by its name, make a file system and write a file.",
        (
            Command(
                "aws ec2 describe-instances --instance-ids {instance} "
                "--query 'Reservations[0].Instances[0].Placement.AvailabilityZone' --output text",
                save="zone",
            ),
            Command(
                "aws ec2 create-volume --size 1 --availability-zone {zone} --query VolumeId --output text",
                save="volume",
            ),
            Command("aws ec2 wait volume-available --volume-ids {volume}"),
            Command(
                "aws ec2 attach-volume --volume-id {volume} --instance-id {instance} --device /dev/sdf --query State"
            ),
            Command("aws ec2 wait volume-in-use --volume-ids {volume}"),
            Command("ls /dev/disk/by-id/ | grep virtio-vol", guest=True, tries_for_s=60),
            Command("mkfs.ext4 -q /dev/disk/by-id/virtio-vol*", guest=True),
            Command(
                "mount /dev/disk/by-id/virtio-vol* /mnt && echo 'kept on a volume' > /mnt/note && ls -l /mnt "
                "&& umount /mnt",
                guest=True,
            ),
        ),
        undo=("aws ec2 wait volume-available --volume-ids {volume}", "aws ec2 delete-volume --volume-id {volume}"),
    ),
    Step(
        "A snapshot",
        "A snapshot keeps the volume as it is now. A new volume made from it has the file that we wrote.",
        (
            Command("aws ec2 detach-volume --volume-id {volume} --query State"),
            Command("aws ec2 wait volume-available --volume-ids {volume}"),
            Command(
                "aws ec2 create-snapshot --volume-id {volume} --description 'The guided tour' "
                "--query SnapshotId --output text",
                save="snapshot",
            ),
            Command("aws ec2 wait snapshot-completed --snapshot-ids {snapshot}"),
            Command(
                "aws ec2 create-volume --snapshot-id {snapshot} --availability-zone {zone} "
                "--query VolumeId --output text",
                save="copy",
            ),
            Command("aws ec2 wait volume-available --volume-ids {copy}"),
            Command(
                "aws ec2 attach-volume --volume-id {copy} --instance-id {instance} --device /dev/sdg --query State"
            ),
            Command("aws ec2 wait volume-in-use --volume-ids {copy}"),
            Command(
                "mount /dev/disk/by-id/virtio-vol* /mnt && cat /mnt/note && umount /mnt", guest=True, tries_for_s=60
            ),
            Command("aws ec2 detach-volume --volume-id {copy} --query State"),
            Command("aws ec2 wait volume-available --volume-ids {copy}"),
        ),
        undo=("aws ec2 delete-volume --volume-id {copy}", "aws ec2 delete-snapshot --snapshot-id {snapshot}"),
    ),
    Step(
        "A bucket",
        "Objects of any size, under a name, reached by HTTP: S3. Private unless you say otherwise; a presigned URL "
        "lets somebody without keys read one object for a while.",
        (
            Command("aws s3 mb s3://{tag}"),
            Command("aws s3 cp {note_file} s3://{tag}/note.txt --no-progress"),
            Command("aws s3 ls s3://{tag}"),
            Command("aws s3 presign s3://{tag}/note.txt --expires-in 60", save="url"),
            Command("curl -sS '{url}'"),
        ),
        undo=("aws s3 rb s3://{tag} --force",),
    ),
)
