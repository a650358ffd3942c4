"""EC2's error codes as classes: the name is the code. Texts after the EC2 API reference, "Error codes", and as EC2 words them.

Errors of the edge (MissingParameter, InvalidAction, AuthFailure and the like) stand in `eucapy/aws/errors.py`; NotFound and
Malformed of ids in `eucapy/ids.py`.
"""

from __future__ import annotations

from eucapy.errors import ApiError


class InvalidParameterValue(ApiError):
    """The text is given where it is raised."""


class InvalidParameterCombination(ApiError):
    """The text is given where it is raised."""


class InvalidGroupIdMalformed(ApiError):
    code = "InvalidGroupId.Malformed"
    message = "The security group ID '{id}' is malformed"


class InvalidParameterDependency(ApiError):
    message = "The parameter [{given}] requires the parameter {needed} to be set."


class MissingParameter(ApiError):
    message = "The request must contain the parameter {name}"


class InvalidKeyPairDuplicate(ApiError):
    code = "InvalidKeyPair.Duplicate"
    message = "The keypair already exists"


class InvalidKeyPairNotFound(ApiError):
    code = "InvalidKeyPair.NotFound"
    message = "The key pair '{name}' does not exist"


class InvalidKeyFormat(ApiError):
    code = "InvalidKey.Format"
    message = "Key is not in valid OpenSSH public key format"


class InvalidZoneNotFound(ApiError):
    code = "InvalidParameterValue"
    message = "Invalid availability zone: [{zone}]"


class InvalidInstanceType(ApiError):
    """The text is given where it is raised."""


class InvalidAMIIDUnavailable(ApiError):
    code = "InvalidAMIID.Unavailable"
    message = "The image ID '{image}' is not available"


class InvalidAMINameDuplicate(ApiError):
    code = "InvalidAMIName.Duplicate"
    message = "AMI name {name} is already in use by AMI {image}"


class InvalidAMINameMalformed(ApiError):
    code = "InvalidAMIName.Malformed"
    message = (
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', "
        "'/' and '_'"
    )


class InvalidAMIAttributeItemValue(ApiError):
    message = 'Invalid attribute item value "{value}" for {item} item type.'


class InvalidBlockDeviceMapping(ApiError):
    """The text is given where it is raised."""


class InsufficientInstanceCapacity(ApiError):
    status = 500
    message = (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our system "
        "will be working on provisioning additional capacity."
    )


class VcpuLimitExceeded(ApiError):
    message = (
        "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that the "
        "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
        "adjustment to this limit."
    )


class InstanceLimitExceeded(ApiError):
    message = (
        "You have requested more instances ({count}) than your current instance limit of {limit} allows for the specified "
        "instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
    )


class IncorrectInstanceState(ApiError):
    """The text is given where it is raised."""


class UnsupportedOperation(ApiError):
    """The text is given where it is raised."""


class OperationNotPermitted(ApiError):
    """The text is given where it is raised."""


class InvalidUserDataMalformed(ApiError):
    code = "InvalidUserData.Malformed"
    message = "Invalid BASE64 encoding of user data."


class AuthFailure(ApiError):
    status = 403
    message = "Not authorized for images: [{images}]"


class InvalidSubnetIDNotFound(ApiError):
    code = "InvalidSubnetID.NotFound"
    message = "The subnet ID '{subnet}' does not exist"


class InvalidID(ApiError):
    message = "The ID '{id}' is not valid"


class TagLimitExceeded(ApiError):
    message = "The maximum number of Tags for a resource has been reached."


class VPCIdNotSpecified(ApiError):
    message = "No default VPC for this user"


class DependencyViolation(ApiError):
    """The text is given where it is raised."""


class InvalidGroupDuplicate(ApiError):
    code = "InvalidGroup.Duplicate"
    message = "The security group '{name}' already exists for VPC '{vpc}'"


class InvalidGroupNotFound(ApiError):
    """The text is given where it is raised."""

    code = "InvalidGroup.NotFound"


class DifferentNetworks(ApiError):
    code = "InvalidGroup.NotFound"
    message = "You have specified two resources that belong to different networks."


class CannotDelete(ApiError):
    message = 'the specified group: "{id}" name: "{name}" cannot be deleted by a user'


class SecurityGroupLimitExceeded(ApiError):
    message = "The maximum number of security groups for VPC '{vpc}' has been reached."


class InvalidPermissionDuplicate(ApiError):
    code = "InvalidPermission.Duplicate"
    message = 'the specified rule "{rule}" already exists'


class InvalidPermissionNotFound(ApiError):
    code = "InvalidPermission.NotFound"
    message = "The specified rule does not exist in this security group."


class RulesPerSecurityGroupLimitExceeded(ApiError):
    message = "The maximum number of rules per security group has been reached."


class InvalidPrefixListModification(ApiError):
    message = "The CIDR {cidr} does not exist."


class PrefixListVersionMismatch(ApiError):
    message = "The prefix list has the incorrect version number."


class PrefixListMaxEntriesExceeded(ApiError):
    message = "You've reached the maximum number of entries for the prefix list."


class PrefixListLimitExceeded(ApiError):
    message = "You've reached the limit on the number of prefix lists that you can create."


class AddressLimitExceeded(ApiError):
    message = "The maximum number of addresses has been reached."


class InsufficientAddressCapacity(ApiError):
    status = 503
    message = "There are not enough free addresses to fulfill your request."


class InvalidAddressNotFound(ApiError):
    code = "InvalidAddress.NotFound"
    message = "Address '{ip}' not found."


class AddressInUse(ApiError):
    code = "InvalidIPAddress.InUse"
    message = "Address {ip} is in use."


class ResourceAlreadyAssociated(ApiError):
    """The text is given where it is raised."""

    code = "Resource.AlreadyAssociated"


class InvalidInstanceID(ApiError):
    """The text is given where it is raised."""


class GatewayNotAttached(ApiError):
    """The text is given where it is raised."""

    code = "Gateway.NotAttached"


class InvalidVpcRange(ApiError):
    code = "InvalidVpc.Range"
    message = "The CIDR '{cidr}' is invalid."


class InvalidCidrBlockInUse(ApiError):
    code = "InvalidCidrBlock.InUse"
    message = "The vpc {vpc} currently has a subnet within CIDR block {block}"


class SubnetCidrLimitExceeded(ApiError):
    code = "CidrLimitExceeded"
    message = "This subnet {subnet} has met its maximum number of allowed CIDRs: {most}"


class InsufficientCidrBlocks(ApiError):
    message = "There are not enough free IPv6 addresses in the region's pool to satisfy the request."


class CidrLimitExceeded(ApiError):
    message = "This network {vpc} has met its maximum number of allowed CIDRs: {most}"


class EgressOnlyInternetGatewayLimitExceeded(ApiError):
    message = "The maximum number of egress-only internet gateways has been reached."


class InvalidSubnetRange(ApiError):
    code = "InvalidSubnet.Range"
    message = "The CIDR '{cidr}' is invalid."


class InvalidSubnetConflict(ApiError):
    code = "InvalidSubnet.Conflict"
    message = "The CIDR '{cidr}' conflicts with another subnet"


class VpcLimitExceeded(ApiError):
    message = "The maximum number of VPCs has been reached."


class SubnetLimitExceeded(ApiError):
    message = "The maximum number of subnets has been reached."


class InternetGatewayLimitExceeded(ApiError):
    message = "The maximum number of internet gateways has been reached."


class RouteTableLimitExceeded(ApiError):
    message = "The maximum number of route tables has been reached."


class RouteLimitExceeded(ApiError):
    message = "The maximum number of routes has been reached."


class NetworkInterfaceLimitExceeded(ApiError):
    message = "The maximum number of network interfaces has been reached."


class SecurityGroupsPerInterfaceLimitExceeded(ApiError):
    message = "The maximum number of security groups per interface has been reached."


class PrivateIpAddressLimitExceeded(ApiError):
    message = "Number of private addresses will exceed limit."


class AttachmentLimitExceeded(ApiError):
    message = "Interface count {count} exceeds the limit for {type}"


class VpcPeeringConnectionAlreadyExists(ApiError):
    message = "A VPC peering connection between the VPCs already exists."


class VpcPeeringConnectionsPerVpcLimitExceeded(ApiError):
    message = "The maximum number of VPC peering connections for the VPC '{vpc}' has been reached."


class OutstandingVpcPeeringConnectionLimitExceeded(ApiError):
    message = "The maximum number of outstanding VPC peering connection requests has been reached."


class InvalidStateTransition(ApiError):
    message = "Invalid state transition for {peering}, attempted to transition from {state} to {to}"


class DefaultVpcAlreadyExists(ApiError):
    message = "A Default VPC already exists for this account in this region."


class DefaultVpcDoesNotExist(ApiError):
    message = "No default VPC exists for this account in this region."


class DefaultSubnetAlreadyExistsInAvailabilityZone(ApiError):
    message = "'{subnet}' is already the default subnet in {zone}."


class RouteAlreadyExists(ApiError):
    message = "The route identified by {cidr} already exists."


class InvalidRouteNotFound(ApiError):
    code = "InvalidRoute.NotFound"
    message = "no route with destination-{member} {destination} in route table {table}"


class GatewayNotFound(ApiError):
    """A kind of gateway of which there are none. The code and the text depend on the kind."""

    message = "The {noun} ID '{id}' does not exist"


class InvalidInterfaceInUse(ApiError):
    """The text is given where it is raised."""

    code = "InvalidNetworkInterface.InUse"


class InvalidAttachmentIDNotFound(ApiError):
    code = "InvalidAttachmentID.NotFound"
    message = "The attachment '{id}' does not exist."


class InvalidRequest(ApiError):
    """The text is given where it is raised."""


class InvalidParameter(ApiError):
    """The text is given where it is raised."""


class InvalidInstanceProfile(ApiError):
    """The text is given where it is raised."""

    code = "InvalidParameterValue"


class InvalidPlacementGroupDuplicate(ApiError):
    code = "InvalidPlacementGroup.Duplicate"
    message = "The Placement Group '{name}' already exists."


class InvalidPlacementGroupInUse(ApiError):
    code = "InvalidPlacementGroup.InUse"
    message = "The placement group '{name}' is in use and may not be deleted."


class PlacementGroupLimitExceeded(ApiError):
    message = "The maximum number of placement groups has been reached."


class InvalidPlacementGroupUnknown(ApiError):
    code = "InvalidPlacementGroup.Unknown"
    message = "The Placement Group '{name}' is unknown."


class Unsupported(ApiError):
    message = (
        "The requested configuration is currently not supported. Please check the documentation for supported "
        "configurations."
    )


class MissingInput(ApiError):
    message = "No subnets found for the default VPC '{vpc}'. Please specify a subnet."


class InvalidZoneNotFoundByName(ApiError):
    """As the operations on volumes word it."""

    code = "InvalidZone.NotFound"
    message = "The zone '{zone}' does not exist."


class VolumeInUse(ApiError):
    """The text is given where it is raised."""


class IncorrectModificationState(ApiError):
    message = "Volume {volume} cannot be modified in modification state {state}"


class VolumeModificationRateExceeded(ApiError):
    message = (
        "You've reached the maximum modification rate per volume limit. "
        "Wait at least 6 hours between modifications per EBS volume."
    )


class InvalidVolumeModificationNotFound(ApiError):
    code = "InvalidVolumeModification.NotFound"
    message = "Modification for volume '{volume}' does not exist."


class IncorrectState(ApiError):
    """The text is given where it is raised."""


class ResourceCountExceeded(ApiError):
    """The text is given where it is raised."""


class NotExportable(ApiError):
    """The text is given where it is raised."""


class InvalidVolumeZoneMismatch(ApiError):
    code = "InvalidVolume.ZoneMismatch"
    message = "The volume '{volume}' is not in the same availability zone as instance '{instance}'"


class InvalidAttachmentNotFound(ApiError):
    """The text is given where it is raised."""

    code = "InvalidAttachment.NotFound"


class VolumeAttachmentLimitExceeded(ApiError):
    code = "AttachmentLimitExceeded"
    message = (
        "You've reached the limit on the number of Amazon EBS volumes or network interfaces that can be attached to a "
        "single instance."
    )


class SnapshotCopyUnsupportedInterRegion(ApiError):
    code = "SnapshotCopyUnsupported.InterRegion"
    message = "Inter-region snapshot copy is not supported for this region."


class InvalidSnapshotInUse(ApiError):
    code = "InvalidSnapshot.InUse"
    message = "The snapshot {snapshot} is currently in use by {image}"


class InvalidLaunchTemplateNameNotFound(ApiError):
    code = "InvalidLaunchTemplateName.NotFoundException"
    message = "The specified launch template, with template name {name}, does not exist."


class InvalidLaunchTemplateNameMalformed(ApiError):
    code = "InvalidLaunchTemplateName.MalformedException"
    message = (
        "The specified launch template name is invalid. A launch template name must be between 3 and 125 characters, and may "
        "contain letters, numbers, and the following characters: -()./_."
    )


class InvalidLaunchTemplateNameAlreadyExists(ApiError):
    code = "InvalidLaunchTemplateName.AlreadyExistsException"
    message = "Launch template name already in use."


class SomeLaunchTemplateNameNotFound(ApiError):
    """DescribeLaunchTemplates does not say which."""

    code = "InvalidLaunchTemplateName.NotFoundException"
    message = "At least one of the launch templates specified in the request does not exist."


class InvalidLaunchTemplateVersionNotFound(ApiError):
    code = "InvalidLaunchTemplateId.VersionNotFound"
    message = "Could not find the specified version {version} for the launch template with ID {template}."


class LaunchTemplateLimitExceeded(ApiError):
    message = "The maximum number of launch templates has been reached."


class LaunchTemplateVersionLimitExceeded(ApiError):
    message = "The maximum number of versions of the launch template '{template}' has been reached."


class UnsupportedHibernationConfiguration(ApiError):
    message = "Instance '{instance}' is not configured for hibernation"


class UnsupportedTenancy(ApiError):
    message = "The tenancy value {tenancy} is not supported."


class NatGatewayLimitExceeded(ApiError):
    message = "Performing this operation would exceed the limit of {limit} NAT gateways"


class NetworkAclLimitExceeded(ApiError):
    message = "The maximum number of network ACLs has been reached."


class NetworkAclEntryLimitExceeded(ApiError):
    message = "The maximum number of network acl entries has been reached."


class NetworkAclEntryAlreadyExists(ApiError):
    message = "The network acl entry identified by {number} already exists."


class InvalidNetworkAclEntryNotFound(ApiError):
    code = "InvalidNetworkAclEntry.NotFound"
    message = "no {direction} entry with number {number}"


class DhcpOptionsLimitExceeded(ApiError):
    message = "The maximum number of DHCP options sets has been reached."


class FlowLogAlreadyExists(ApiError):
    message = "Error. There is an existing Flow Log with the same configuration and log destination."


class FlowLogsLimitExceeded(ApiError):
    message = "The maximum number of flow logs of the resource has been reached."
