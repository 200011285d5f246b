"""Base classes of validated settings and results (pydantic models)."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class OptionalFields(BaseModel):
    """Omit the fields named in `OPTIONAL` from serialised output while they have their default.

    Metadata in files, content digests, records and command lines then name such a field only where
    it is used.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = ()
    """Names of the fields to omit."""

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
