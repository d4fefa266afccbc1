"""The model directory: its manifest, digests, and what may be loaded from it."""
