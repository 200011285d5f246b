"""Base classes of validated settings and results (pydantic models)."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class OptionalFields(BaseModel):
    """Omit the fields in `OPTIONAL` from serialised settings if they have their default value.

    This keeps files, digests and commands unchanged when a field is added.
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
    """Immutable model that rejects unknown fields; base of settings, records and results."""

    model_config = ConfigDict(extra="forbid", frozen=True)
