"""Command-line options that several commands have, and the settings that they and the environment make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlapi.errors import ConfigurationError

if TYPE_CHECKING:
    from mlapi.settings import Settings

ModelOption = Annotated[Path | None, typer.Option(help="Model directory [default: models/starter].")]
VariantOption = Annotated[str | None, typer.Option(help="Variant of the model, or auto [default: auto].")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads per call [default: all].")]


def settings_from(**flags: Any) -> Settings:
    """Read the settings from the environment, with the flags that were given on top.

    Raises:
        ConfigurationError: A value that does not fit; names the variable.
    """
    from pydantic import ValidationError

    from mlapi.settings import Settings

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = "_".join(str(part) for part in first["loc"]).upper()
        name = place if place.startswith("MLAPI_") or not place else f"MLAPI_{place}"
        flag = (
            f" (--{name.removeprefix('MLAPI_').lower()})" if first["loc"] and first["loc"][0] in given else ""
        )
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name or 'settings'}{flag}: {message}") from None
