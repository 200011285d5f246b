"""Voxel images in 3D: occupied voxels as cubes, coloured by normalised mean q²."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.labels import VARIABLES, note_text, shifts_text
from wilsonvox.figures.style import DOUBLE_COLUMN, new_figure, styled
from wilsonvox.theory.points import COEFFICIENTS
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

_VIEW = {"elev": 22.0, "azim": -58.0}
# corners of the three faces of a unit cube that are visible from _VIEW: x = 1, y = 0, z = 1
_FACES = np.array(
    [
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
    ],
    dtype=np.float64,
)
_BRIGHTNESS = np.array([0.86, 0.72, 1.0])
"""Brightness of the three faces, as if lit from above."""


@dataclass(frozen=True)
class VoxelImage:
    """Occupied voxels of one image.

    Attributes:
        label: title of the panel.
        bins: voxels along each axis.
        position: voxel indices in cos θ_μ, cos θ_K and χ, int64 of shape (n, 3).
        value: normalised mean q² (dimensionless), float32 of shape (n,).
    """

    label: str
    bins: int
    position: NDArray[np.int64]
    value: NDArray[np.float32]


def take_image(shard: Shard, index: int, name: str) -> VoxelImage:
    """Extract image `index` of a shard, with mean q² in units of 20 GeV².

    The label is the true point, or else the name of the sample, or else `name`.

    Raises:
        UserError: the shard has no image with this index.
    """
    if not 0 <= index < len(shard):
        raise UserError(f"{name}: image {index} does not exist; the shard has {len(shard)}")
    entries = slice(int(shard.offsets[index]), int(shard.offsets[index + 1]))
    bins = shard.metadata.image.bins
    position = np.stack(np.unravel_index(shard.voxel[entries], (bins, bins, bins)), axis=1)
    shifts = shard.shifts[index].real
    label = shard.metadata.sample or name
    if np.isfinite(shifts).all():
        nonzero = {key: float(s) for key, s in zip(COEFFICIENTS, shifts, strict=True) if s}
        label = shifts_text(nonzero or {"c9": 0.0})
    value = shard.normalised(VoxelScaling())[entries]
    return VoxelImage(label, bins, position.astype(np.int64), value)


def cube_faces(image: VoxelImage, size: float) -> NDArray[np.float64]:
    """Compute the three visible faces of the cube of each voxel, in data coordinates.

    Args:
        image: the voxels.
        size: edge length of a cube relative to its voxel.

    Returns:
        float64 of shape (n, 3, 4, 3): voxel, face, corner, (cos θ_μ, cos θ_K, χ).
    """
    corner = image.position[:, None, None, :] + 0.5 + size * (_FACES - 0.5)
    low = np.array([-1.0, -1.0, 0.0])
    width = np.array([2.0, 2.0, 2 * np.pi])
    faces: NDArray[np.float64] = low + width * corner / image.bins
    return faces


@styled
def draw(images: Sequence[VoxelImage], note: str = "", cube: float = 0.8) -> Figure:
    """Draw the images side by side with one colour bar.

    Args:
        images: images to draw.
        note: note at the foot of the figure.
        cube: edge length of a cube relative to its voxel; below 1 the inside is visible.
    """
    figure = new_figure(DOUBLE_COLUMN, 3.3, note)
    norm, colours = Normalize(0.0, 1.0), colormaps["viridis"]
    panels = figure.subplots(1, len(images), subplot_kw={"projection": "3d"}, squeeze=False)[0]
    for panel, image in zip(panels, images, strict=True):
        faces = cube_faces(image, cube)
        colour = np.repeat(colours(norm(image.value))[:, None, :], 3, axis=1)
        colour[..., :3] *= _BRIGHTNESS[:, None]
        # rasterised, because PDF viewers are slow with 60,000 vector polygons
        panel.add_collection3d(
            Poly3DCollection(
                faces.reshape(-1, 4, 3),
                facecolors=colour.reshape(-1, 4),
                linewidths=0,
                antialiased=False,
                rasterized=True,
                axlim_clip=False,
            )
        )
        panel.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(0, 2 * np.pi))
        panel.set_title(image.label, y=1.0)
        panel.set_xlabel(VARIABLES["cos_theta_mu"], labelpad=-4)
        panel.set_ylabel(VARIABLES["cos_theta_k"], labelpad=-4)
        panel.set_zlabel(f"{VARIABLES['chi']} [rad]", labelpad=1)
        ticks = [-1, -0.5, 0, 0.5, 1]
        # no labels at the corners of the cube, where those of two axes would overlap
        panel.set_xticks(ticks, ["", "−0.5", "0", "0.5", ""])
        panel.set_yticks(ticks, ["", "−0.5", "0", "0.5", ""])
        panel.set_zticks(np.arange(5) * np.pi / 2, ["", "π/2", "π", "3π/2", ""])
        panel.tick_params(pad=-2)
        panel.tick_params(axis="z", pad=1)
        # the background of a panel would cover the labels of its neighbour
        panel.patch.set_visible(False)
        panel.view_init(**_VIEW)
        panel.set_box_aspect((1, 1, 1), zoom=1.0)
    figure.colorbar(
        ScalarMappable(norm, colours),
        ax=list(panels),
        shrink=0.8,
        aspect=22,
        label="mean $q^2$ / 20 GeV²",
    )
    return figure


@click.command("voxels")
@click.option(
    "--shard",
    "shards",
    required=True,
    multiple=True,
    type=FILE,
    help="Shard of voxel images (.npz) of one point; give it several times to compare.",
)
@click.option(
    "--image-index",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Which image of each shard, counted from 0.",
)
@outputs
def command(shards: tuple[Path, ...], image_index: int, pdf: Path, png: Path) -> None:
    """Voxel images in 3D, coloured by mean q²."""

    def make() -> Figure:
        loaded = [Shard.load(path) for path in shards]
        images = [
            take_image(shard, image_index, path.stem)
            for shard, path in zip(loaded, shards, strict=True)
        ]
        notes = {note_text(shard.metadata.image, shard.metadata.physics_inputs) for shard in loaded}
        return draw(images, notes.pop() if len(notes) == 1 else "")

    write("voxels", pdf, png, make, shards, {"image_index": image_index})
