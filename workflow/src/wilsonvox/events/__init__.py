"""Events of the decay: generation, ingestion and event files."""
