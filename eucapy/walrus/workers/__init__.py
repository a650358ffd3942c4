"""What works in the background of the object store: `collector.py` removes bytes that nothing refers to."""
