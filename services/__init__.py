"""The composition roots, one folder a program; installed as `eucapy_services`."""
