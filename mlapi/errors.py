"""What can go wrong, in the project's own terms. Nothing here knows HTTP.

MlapiError
├── ConfigurationError          a setting that cannot work
├── ModelError                  the model directory is not fit to serve
│   ├── ManifestError           manifest missing, malformed or at odds with config.json
│   ├── DigestMismatch          a file is not the one that the manifest names
│   ├── GoldenMismatch          the engine does not give the recorded answers
│   ├── GateFailed              a variant answers too differently from float32 to be shipped
│   ├── HubError                a model cannot be had from the hub
│   └── VariantUnavailable      no such variant, or its engine is not installed
├── EngineError                 one inference call failed or gave a non-finite output
├── Unavailable                 not now; try again after `retry_after` seconds
│   ├── Overloaded              admitting the texts would exceed a limit or their deadline
│   ├── Starting                the model is not loaded yet
│   └── Draining                shutting down, no new work is taken
└── DeadlineExceeded            the request's time ran out
"""
# ruff: noqa: N818 - the names say what happened; "Error" at the end of each would add nothing

from __future__ import annotations


class MlapiError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(MlapiError):
    """A setting, or a combination of settings, that cannot work."""


class ModelError(MlapiError):
    """The model directory is not fit to serve. The message says which file and what to do."""


class ManifestError(ModelError):
    """The manifest is missing, malformed, or contradicts config.json."""


class DigestMismatch(ModelError):
    """A file of the model directory is not the one that the manifest names."""


class GoldenMismatch(ModelError):
    """The engine's scores for the golden texts deviate from the recorded ones."""


class HubError(ModelError):
    """A model cannot be had from the hub: not there, not allowed, out of reach, or not what it should be."""


class GateFailed(ModelError):
    """A variant loses too much accuracy, or agrees too rarely, with the float32 one. Has the numbers."""


class VariantUnavailable(ModelError):
    """The asked-for variant is not in the directory, or its engine is not installed."""


class EngineError(MlapiError):
    """One inference call failed, or its output was not finite or of the wrong shape."""


class Unavailable(MlapiError):
    """The work is not taken now.

    Attributes:
        retry_after: Seconds after which another attempt is sensible.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        """Keep the message and the advice."""
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """Admitting the texts would exceed a limit, or they could not be answered in time."""


class Starting(Unavailable):
    """The model is still being loaded."""


class Draining(Unavailable):
    """The process is shutting down and takes no new work."""


class DeadlineExceeded(MlapiError):
    """The request's time ran out before its answer was there."""


def reason_of(error: Exception) -> str:
    """Return what went wrong in words that quote nothing: the system's, or the name of the error's type."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
