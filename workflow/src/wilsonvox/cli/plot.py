"""`wilsonvox plot`: one subcommand per figure; each draws it as PDF and as PNG.

The subcommands are those of the figures in the table of stages, and stand in the figures' modules.
"""

from wilsonvox.cli.lazy_group import LazyGroup
from wilsonvox.stages.graph import Stage
from wilsonvox.stages.table import STAGES

_FIGURES: dict[str, Stage] = {}
for _stage in STAGES.values():
    if _stage.report is not None:
        # a command that draws several figures is described by the first
        _FIGURES.setdefault(_stage.command, _stage)

command = LazyGroup(
    {name: stage.modules[0] for name, stage in _FIGURES.items()},
    {name: stage.description for name, stage in _FIGURES.items()},
    name="plot",
    help="Draw one figure, as PDF and as PNG, with its provenance record inside the PNG.",
    no_args_is_help=False,
)
