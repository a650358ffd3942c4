"""Loops that make intent true. `loop.py` when they run · `backoff.py` per-item patience."""
