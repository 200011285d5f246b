"""Findings of the reference validator for RO-Crates, without a network."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import requests_cache
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate, validate_metadata_as_dict
from rocrate_validator.utils.uri import URI

PROFILE = "provenance-run-crate"
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.jsonld",
}
"""JSON-LD contexts by the address that a crate gives (tests/data/jsonld)."""


def fill_cache(path: Path) -> None:
    """Put the contexts into the cache that the validator reads instead of the network."""
    folder = Path(__file__).parents[1] / "data/jsonld"
    session = requests_cache.CachedSession(str(path), backend="sqlite", expire_after=-1)
    for url, name in CONTEXTS.items():
        response = requests_cache.CachedResponse(
            status_code=200,
            url=url,
            content=(folder / name).read_bytes(),
            headers={"Content-Type": "application/ld+json"},
            request=requests_cache.CachedRequest(method="GET", url=url, headers={}),
        )
        session.cache.save_response(response)
    session.close()


def _settings(cache: Path, severity: Severity, **given: Any) -> ValidationSettings:
    fill_cache(cache)
    return ValidationSettings(
        profile_identifier=PROFILE,
        requirement_severity=severity,
        offline=True,
        cache_path=cache,
        **given,
    )


def _findings(result: Any, severity: Severity) -> Counter[tuple[str, str]]:
    return Counter((issue.severity.name, issue.check.name) for issue in result.get_issues(severity))


def findings(crate: Path, cache: Path) -> Counter[tuple[str, str]]:
    """Return severity and name of each failed check of a zipped crate, required or recommended."""
    severity = Severity.RECOMMENDED
    # the validator parses its path as a URI, which must not contain spaces
    copy = shutil.copy(crate, cache.with_name("to_validate.zip"))
    settings = _settings(cache, severity, rocrate_uri=URI(str(copy)))
    return _findings(validate(settings), severity)


def metadata_findings(metadata: dict[str, Any], cache: Path) -> Counter[tuple[str, str]]:
    """Return severity and name of each failed required check of crate metadata, without files."""
    severity = Severity.REQUIRED
    settings = _settings(cache, severity, rocrate_uri=None, metadata_only=True)
    # the validator may change its input
    copy = json.loads(json.dumps(metadata))
    return _findings(validate_metadata_as_dict(copy, settings), severity)


ACCEPTED = {
    # a crate made by a workflow contains no names of persons; publishers add theirs
    ("RECOMMENDED", "Action agent"),
    ("RECOMMENDED", "Root Data Entity: `author` property"),
    ("RECOMMENDED", "Root Data Entity: `publisher` property"),
    # subcommands of this package have no web address of their own
    ("RECOMMENDED", "SoftwareApplication id"),
}
"""Expected findings."""
