"""Running the workflow on a Slurm cluster: an executor that survives what fails there."""
