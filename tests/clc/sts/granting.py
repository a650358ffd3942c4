"""Roles and clients for tests of temporary credentials."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config

from tests.harness.cloud import Cloud

ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def trust(principal: Any, action: Any = "sts:AssumeRole", **condition: Any) -> dict[str, Any]:
    """A trust policy of one statement; `condition` as `StringEquals={…}`."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return {"Version": "2012-10-17", "Statement": [{**statement, **({"Condition": condition} if condition else {})}]}


def role(
    cloud: Cloud, name: str, trusted: dict[str, Any], *, allowed: Any = ALL, account: str = "eucalyptus", **more: Any
) -> str:
    """A role of that name, its inline policy `allowed`; its ARN."""
    iam = cloud.client("iam", account)
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trusted), **more)["Role"]
    if allowed is not None:
        iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=json.dumps(allowed))
    return str(made["Arn"])


def with_credentials(cloud: Cloud, service: str, credentials: dict[str, Any], **config: Any) -> Any:
    """A client with temporary credentials, as STS answers them."""
    return boto3.client(
        service,
        endpoint_url=cloud.endpoint,
        region_name=cloud.dev.config.region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, **config),
    )


def unsigned(cloud: Cloud) -> Any:
    """An STS client of nobody."""
    from botocore import UNSIGNED

    return boto3.client(
        "sts",
        endpoint_url=cloud.endpoint,
        region_name=cloud.dev.config.region,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, parameter_validation=False),
    )
