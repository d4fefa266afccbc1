"""Serve a fine-tuned DistilBERT sentiment classifier over HTTP."""

__version__ = "0.1.0"
