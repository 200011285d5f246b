"""The configuration of a run and the table of samples, from which `workflow/schemas/` is made."""
