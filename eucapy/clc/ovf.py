"""The OVF file of a machine that leaves in an archive: one disk, one network card. Pure.

VMware's products read it, and `ova.py` does on the way back. Source: DSP0243, "Open Virtualization Format Specification" 1.1.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

_GIB = 1 << 30
_OTHER_LINUX_64 = 101
"""CIM_OperatingSystem.OsType."""
_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
 <References><File ovf:id="file1" ovf:href={file}/></References>
 <DiskSection><Info>Virtual disk information</Info>
  <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{bytes}"
   ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
 </DiskSection>
 <NetworkSection><Info>The list of logical networks</Info>
  <Network ovf:name="VM Network"><Description>The VM Network network</Description></Network>
 </NetworkSection>
 <VirtualSystem ovf:id={id}><Info>A virtual machine</Info><Name>{name}</Name>
  <OperatingSystemSection ovf:id="{system}"><Info>The kind of installed guest operating system</Info>
  </OperatingSystemSection>
  <VirtualHardwareSection><Info>Virtual hardware requirements</Info>
   <System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
    <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
    <vssd:VirtualSystemType>vmx-07</vssd:VirtualSystemType></System>
{items}
  </VirtualHardwareSection>
 </VirtualSystem>
</Envelope>
"""


def describe(name: str, disk_name: str, disk_gib: int, vcpus: int, memory_mib: int) -> str:
    """The text; `disk_name` is the disk's in the archive, a stream-optimized VMDK."""
    items: tuple[dict[str, str | int], ...] = (
        {"AllocationUnits": "hertz * 10^6", "ResourceType": 3, "VirtualQuantity": vcpus},
        {"AllocationUnits": "byte * 2^20", "ResourceType": 4, "VirtualQuantity": memory_mib},
        {"Address": 0, "ResourceSubType": "lsilogic", "ResourceType": 6},
        {"AddressOnParent": 0, "HostResource": "ovf:/disk/vmdisk1", "Parent": 3, "ResourceType": 17},
        {"AddressOnParent": 7, "Connection": "VM Network", "ResourceSubType": "E1000", "ResourceType": 10},
    )
    return _ENVELOPE.format(
        file=quoteattr(disk_name),
        bytes=disk_gib * _GIB,
        id=quoteattr(name),
        name=escape(name),
        system=_OTHER_LINUX_64,
        items="\n".join(_item(number, item) for number, item in enumerate(items, 1)),
    )


def _item(number: int, values: dict[str, str | int]) -> str:
    """The members of an Item stand in the order of the alphabet."""
    whole = {**values, "ElementName": f"item {number}", "InstanceID": number}
    inner = "".join(f"<rasd:{key}>{escape(str(value))}</rasd:{key}>" for key, value in sorted(whole.items()))
    return f"   <Item>{inner}</Item>"
