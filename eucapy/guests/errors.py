"""Why an image cannot be made: one class to catch for those who only want to say so."""

from __future__ import annotations


class CannotBuild(Exception):
    """The image cannot be made here; the message is for the person who asked, and says what to do."""
