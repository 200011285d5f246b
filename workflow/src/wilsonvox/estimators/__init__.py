"""Estimators: whatever maps images, or their events, to predicted shifts."""
