"""Base classes of the settings and results that pydantic validates."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class OptionalFields(BaseModel):
    """Leaves the fields in `OPTIONAL` out of what is written where they have their default.

    So files, digests and commands are those of before there were such fields.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        for name in self.OPTIONAL:
            if getattr(self, name) == fields[name].default:
                written.pop(name, None)
        return written


class StrictModel(BaseModel):
    """Immutable model that refuses unknown fields: base of settings, records and results."""

    model_config = ConfigDict(extra="forbid", frozen=True)
