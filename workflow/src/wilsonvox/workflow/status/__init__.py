"""What a run of the workflow would do, and whether that is right: `wilsonvox status`."""
