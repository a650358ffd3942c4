"""Tests that need root and the real parts of a host."""
