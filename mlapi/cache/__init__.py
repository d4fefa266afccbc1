"""Prediction caches: in process, in Redis, and the two together."""
