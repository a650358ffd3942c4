"""The EC2 service that the handlers of this folder register with."""

from __future__ import annotations

from eucapy.aws.service import Service
from eucapy.clc.ec2.extension import EXTENSION

ec2 = Service("ec2", open_enums=("InstanceType",), extend=EXTENSION)
