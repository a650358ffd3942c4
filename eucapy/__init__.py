"""eucapy: a private cloud that stock AWS tools cannot tell from AWS, and whose instances really boot."""

__version__ = "0.1.0"
