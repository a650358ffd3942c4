"""The real thing: root, libvirt, guests, packets."""
