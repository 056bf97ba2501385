"""A test bed of two libvirt hosts on one machine, with small real guests."""
