"""Rules about the code itself, checked on the code."""
