"""Diagram of a network in the style of Keras: layer names, types, shapes and skip connections.

The model configuration is read from the `.keras` file, so TensorFlow and graphviz are not needed.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.style import BLACK, DOUBLE_COLUMN, GREY, RED, new_figure, styled

Shape = tuple[int | None, ...]

_SAME_SHAPE = ("Activation", "ReLU", "Dropout", "BatchNormalization", "Rescaling", "Add")
_COLOURS = {
    "InputLayer": "#FFFFFF",
    "Conv": "#CFE5F5",
    "BatchNormalization": "#EDEDED",
    "Activation": "#FBF3C8",
    "ReLU": "#FBF3C8",
    "MaxPooling": "#D2EDE4",
    "GlobalAveragePooling": "#D2EDE4",
    "Add": "#F8DCCB",
    "Dense": "#F1DDE8",
}
"""Fill colour of a cell by the prefix of its layer type; white for other types."""


@dataclass(frozen=True)
class Layer:
    """Layer of a network.

    Attributes:
        name: name of the layer.
        kind: class of the layer.
        sources: names of the layers whose outputs are its inputs.
        input_shape: shape of the input, with None for the batch size and other free dimensions.
        output_shape: shape of the output; empty if the file does not contain it.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape


def _tensors(value: Any) -> Iterator[dict[str, Any]]:
    """Iterate over the serialised Keras tensors in the arguments of a layer."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]
        else:
            for item in value.values():
                yield from _tensors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def parse_config(config: dict[str, Any]) -> list[Layer]:
    """Extract the layers of a functional or sequential model in the order of its `config.json`.

    Each serialised tensor contains the layer that made it and its shape, so the output shape of a
    layer is taken from the layers that use it. The output shape of the last layer is derived from
    its own settings.
    """
    entries = config["config"]["layers"]
    sequential = config["class_name"] == "Sequential"
    inputs: dict[str, list[dict[str, Any]]] = {}
    outputs: dict[str, Shape] = {}
    previous: str | None = None
    for entry in entries:
        name = entry["config"]["name"]
        inputs[name] = list(_tensors(entry.get("inbound_nodes", [])))
        if sequential and previous is not None:
            shape = entry.get("build_config", {}).get("input_shape", [])
            inputs[name] = [{"shape": shape, "keras_history": [previous, 0, 0]}]
        for tensor in inputs[name]:
            outputs[tensor["keras_history"][0]] = tuple(tensor["shape"])
        previous = name
    layers = []
    for entry in entries:
        name, kind = entry["config"]["name"], entry["class_name"]
        tensors = inputs[name]
        input_shape: Shape = tuple(tensors[0]["shape"]) if tensors else ()
        if not tensors:
            input_shape = tuple(entry["config"].get("batch_shape") or outputs.get(name, ()))
        output_shape = outputs.get(name, ())
        if not output_shape and "units" in entry["config"]:
            output_shape = (*input_shape[:-1], entry["config"]["units"])
        elif not output_shape and kind in _SAME_SHAPE:
            output_shape = input_shape
        sources = tuple(dict.fromkeys(tensor["keras_history"][0] for tensor in tensors))
        layers.append(Layer(name, kind, sources, input_shape, output_shape))
    return layers


def read(path: str | os.PathLike[str]) -> list[Layer]:
    """Read the layers of a `.keras` file, sorted so that inputs precede the layers that use them.

    Raises:
        UserError: the file is not a Keras model, or the model has no layers.
    """
    file = require_file(path, "a trained network (.keras)")
    try:
        with zipfile.ZipFile(file) as archive:
            layers = parse_config(json.loads(archive.read("config.json")))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{file}: not a Keras model made of layers ({error!r})") from error
    if not layers:
        raise UserError(f"{file}: a Keras model without layers")
    return _ordered(layers)


def _ordered(layers: Sequence[Layer]) -> list[Layer]:
    """Sort layers topologically, depth first from the output, so that chains stay together."""
    by_name = {layer.name: layer for layer in layers}
    used = {source for layer in layers for source in layer.sources}
    ordered: dict[str, Layer] = {}

    def visit(name: str) -> None:
        # an explicit stack, because deep networks exceed Python's recursion limit
        stack = [name]
        while stack:
            layer = by_name[stack[-1]]
            waiting = [source for source in layer.sources if source not in ordered]
            if waiting:
                stack.append(waiting[0])
            else:
                ordered[stack.pop()] = layer

    for layer in layers:
        if layer.name not in used:
            visit(layer.name)
    return list(ordered.values())


def single_wires(layers: Sequence[Layer]) -> list[int]:
    """Find the positions i with a single connection from ``layers[:i]`` to ``layers[i:]``.

    Only at these positions can a drawing be split without cutting through a block.
    """
    position = {layer.name: i for i, layer in enumerate(layers)}
    crossing = [0] * (len(layers) + 1)
    for i, layer in enumerate(layers):
        for source in layer.sources:
            for cut in range(position[source] + 1, i + 1):
                crossing[cut] += 1
    return [cut for cut in range(1, len(layers)) if crossing[cut] == 1]


def portion(layers: Sequence[Layer], max_layers: int) -> tuple[list[Layer], int, list[Layer]]:
    """Select the layers to draw.

    Networks of at most `max_layers` layers are drawn completely. Otherwise the head after the last
    block is kept, and as many whole blocks from the beginning as fit.

    Returns:
        The first layers, the number of omitted layers, and the last layers.
    """
    if len(layers) <= max_layers:
        return list(layers), 0, []
    cuts = single_wires(layers)
    merges = [i for i, layer in enumerate(layers) if len(layer.sources) > 1]
    last_merge = merges[-1] if merges else 0
    head_cuts = [i for i in cuts if i > last_merge and len(layers) - i <= max(1, max_layers // 3)]
    head = min(head_cuts, default=len(layers) - 1)
    room = max_layers - (len(layers) - head)
    first = max((i for i in cuts if i <= room), default=max(1, room))
    return list(layers[:first]), head - first, list(layers[head:])


_ROW, _CELL_HEIGHT, _CELL_WIDTH = 0.47, 0.33, 2.95
_STRIP, _LEFT, _LANE = DOUBLE_COLUMN / 2, 0.1, 0.11
"""Sizes of the drawing [inch]: row pitch, cell height and width; strips, margin and lanes."""


@dataclass(frozen=True)
class _Gap:
    """Placeholder for `n` omitted layers."""

    n: int


def _shape_text(shape: Shape) -> str:
    inside = ", ".join("None" if size is None else str(size) for size in shape)
    return f"({inside})" if shape else "–"


def _shortened(text: str, length: int = 25) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _colour(kind: str) -> str:
    return next((fill for start, fill in _COLOURS.items() if kind.startswith(start)), "#FFFFFF")


def _draw_cell(axes: Axes, layer: Layer, left: float, top: float) -> None:
    size = (_CELL_WIDTH, _CELL_HEIGHT)
    bottom, middle = top - _CELL_HEIGHT, left + 0.5 * _CELL_WIDTH
    axes.add_patch(
        Rectangle((left, bottom), *size, facecolor=_colour(layer.kind), edgecolor="none", zorder=2)
    )
    axes.add_patch(Rectangle((left, bottom), *size, fill=False, linewidth=0.7, zorder=3))
    half = bottom + 0.5 * _CELL_HEIGHT
    axes.plot([left, left + _CELL_WIDTH], [half, half], color=BLACK, linewidth=0.4, zorder=3)
    axes.plot([middle, middle], [bottom, top], color=BLACK, linewidth=0.4, zorder=3)
    rows = ((layer.name, layer.input_shape), (layer.kind, layer.output_shape))
    for row, (text, shape) in enumerate(rows):
        y = top - (0.25 + 0.5 * row) * _CELL_HEIGHT
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "zorder": 4}
        axes.text(left + 0.25 * _CELL_WIDTH, y, _shortened(text), **style)
        axes.text(left + 0.75 * _CELL_WIDTH, y, _shape_text(shape), **style)


def _draw_arrow(axes: Axes, path: Sequence[tuple[float, float]], colour: str) -> None:
    x, y = zip(*path, strict=True)
    axes.plot(x[:-1], y[:-1], color=colour, linewidth=0.9, zorder=1)
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", path[-1], path[-2], arrowprops=arrow | {"mutation_scale": 7})


def skip_lanes(layers: Sequence[Layer]) -> list[tuple[int, int, int]]:
    """Find connections that skip layers, as (from, to, lane), with non-overlapping lanes."""
    position = {layer.name: i for i, layer in enumerate(layers)}
    edges = sorted(
        (position[source], i)
        for i, layer in enumerate(layers)
        for source in layer.sources
        if source in position and position[source] < i - 1
    )
    busy: list[int] = []  # row at which each lane becomes free
    lanes = []
    for start, end in edges:
        lane = next((n for n, free in enumerate(busy) if free <= start), len(busy))
        busy[lane : lane + 1] = [end]
        lanes.append((start, end, lane))
    return lanes


def _draw_strip(axes: Axes, cells: Sequence[Layer | _Gap], left: float, top: float) -> None:
    """Draw a column of cells, with an arrow where a cell takes the output of the cell above."""
    centre, right = left + 0.5 * _CELL_WIDTH, left + _CELL_WIDTH
    for row, cell in enumerate(cells):
        y = top - row * _ROW
        if isinstance(cell, _Gap):
            text = f"⋮   {cell.n} more layers   ⋮"
            axes.text(centre, y - 0.5 * _CELL_HEIGHT, text, ha="center", va="center", color=GREY)
        else:
            _draw_cell(axes, cell, left, y)
    for row, (above, below) in enumerate(pairwise(cells), start=1):
        if isinstance(above, _Gap) or isinstance(below, _Gap) or above.name in below.sources:
            y = top - row * _ROW
            _draw_arrow(axes, [(centre, y + _ROW - _CELL_HEIGHT), (centre, y)], BLACK)
    # placeholders have no connections
    layers = [
        Layer(f"gap {row}", "", (), (), ()) if isinstance(cell, _Gap) else cell
        for row, cell in enumerate(cells)
    ]
    for start, end, lane in skip_lanes(layers):
        x = right + _LANE * (lane + 1)
        low, high = (
            top - row * _ROW - part * _CELL_HEIGHT for row, part in ((end, 0.3), (start, 0.7))
        )
        _draw_arrow(axes, [(right, high), (x, high), (x, low), (right, low)], RED)


@styled
def draw(layers: Sequence[Layer], max_layers: int = 36, title: str = "") -> Figure:
    """Draw a network as one or two columns of cells; middle layers of deep networks are omitted.

    A cell contains the name and input shape of a layer above its type and output shape.

    Args:
        layers: topologically sorted layers.
        max_layers: maximum number of layers to draw.
        title: name of the network.
    """
    first, n_hidden, last = portion(layers, max_layers)
    cells: list[Layer | _Gap] = [*first, *([_Gap(n_hidden)] if n_hidden else []), *last]
    # split the columns at a single connection as close to the middle as possible
    cuts = single_wires(first) + ([len(first)] if n_hidden else [])
    split = len(cells)
    if len(cells) > 8 and cuts:
        split = min(cuts, key=lambda cut: max(cut, len(cells) - cut))
    strips = [strip for strip in (cells[:split], cells[split:]) if strip]
    heading = 0.3 if title else 0.17
    height = heading + 0.27 + _ROW * max(len(strip) for strip in strips)
    width = DOUBLE_COLUMN / 2 * len(strips)
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    top = height - heading
    for number, strip in enumerate(strips):
        _draw_strip(axes, strip, _LEFT + number * _STRIP, top)
    if len(strips) == 2:
        left, right = _LEFT + 0.5 * _CELL_WIDTH, _LEFT + _STRIP + 0.5 * _CELL_WIDTH
        end, gutter = top - len(strips[0]) * _ROW + _ROW - _CELL_HEIGHT, _STRIP + 0.03
        path = [(left, end), (left, end - 0.09), (gutter, end - 0.09), (gutter, top + 0.09)]
        _draw_arrow(axes, [*path, (right, top + 0.09), (right, top)], BLACK)
    if title:
        axes.text(_LEFT, height - 0.06, title, ha="left", va="top", fontsize=8)
    note = "name, input shape / type, output shape"
    if any(len(layer.sources) > 1 for layer in first):
        note += "; orange: skip connection"
    axes.text(width - 0.05, 0.03, note, ha="right", va="bottom", fontsize=7, color=GREY)
    return figure


@click.command("network")
@click.option("--model", required=True, type=FILE, help="Trained network (.keras).")
@click.option(
    "--max-layers",
    type=click.IntRange(min=8),
    default=36,
    show_default=True,
    help="Draw at most so many layers: the first blocks and the head.",
)
@click.option("--title", default="", help="Name of the network, written above it.")
@outputs
def command(model: Path, max_layers: int, title: str, pdf: Path, png: Path) -> None:
    """Layers of a network, their shapes and skip connections."""
    write(
        "network",
        pdf,
        png,
        lambda: draw(read(model), max_layers, title),
        [model],
        {"max_layers": max_layers, "title": title},
    )
