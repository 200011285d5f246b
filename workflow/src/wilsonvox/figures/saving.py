"""Write a figure as PNG, with its provenance record inside, and a PDF copy of it."""

import hashlib
import logging
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, naming
from wilsonvox.figures.style import PNG_DPI, figure_style
from wilsonvox.records.digests import KEY, digest_arrays
from wilsonvox.records.record import Record, path_in_run

logger = logging.getLogger(__name__)


def check_names(pdf: str | os.PathLike[str], png: str | os.PathLike[str]) -> None:
    """Check the suffixes of the two files, by which their records are read back.

    Raises:
        UserError: a suffix is wrong.
    """
    for option, path in (("--pdf", pdf), ("--png", png)):
        suffix = option.replace("--", ".")
        if Path(path).suffix != suffix:
            raise UserError(f"{option}: {path}: the name must end in {suffix}")


def save_figure(
    figure: Figure, pdf: str | os.PathLike[str], png: str | os.PathLike[str], record: Record
) -> None:
    """Write `figure` to `pdf` and `png` atomically and reproducibly.

    The PNG carries the record, with the digest of its pixels and, among the record's `copies`, the
    SHA-256 of the PDF's bytes. Neither file appears unless both were written.

    Raises:
        UserError: a suffix is wrong, or a folder cannot be written.
    """
    check_names(pdf, png)
    with figure_style(), atomic_path(pdf) as pdf_part, atomic_path(png) as png_part:
        canvas: Any = FigureCanvasAgg(figure)  # Matplotlib has no types for canvases
        figure.set_dpi(PNG_DPI)
        canvas.draw()
        # the background is opaque: drop alpha to reduce the file size
        pixels = np.array(canvas.buffer_rgba())[..., :3]
        # in memory: Matplotlib leaves a file open when the disk is full
        drawing = BytesIO()
        figure.savefig(drawing, format="pdf", metadata={"CreationDate": None})
        copy = {path_in_run(pdf, Path(record.run)): hashlib.sha256(drawing.getvalue()).hexdigest()}
        full = record.model_copy(update={"copies": copy}).written_to(
            png, digest_arrays([("pixels", pixels)])
        )
        text = PngInfo()
        text.add_text(KEY, full.to_json())
        Image.fromarray(pixels).save(png_part, pnginfo=text, dpi=(PNG_DPI, PNG_DPI))
        with naming(pdf):
            pdf_part.write_bytes(drawing.getvalue())
    logger.info("wrote %s and %s", pdf, png)
