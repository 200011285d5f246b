"""Writing one figure as PDF and PNG, with its provenance record inside both."""

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
from wilsonvox.core.files import atomic_path, name_file_in_errors
from wilsonvox.figures.style import PNG_DPI, figure_style
from wilsonvox.records.digests import KEY, content_digest, digest_arrays
from wilsonvox.records.record import Record

logger = logging.getLogger(__name__)


def check_names(pdf: str | os.PathLike[str], png: str | os.PathLike[str]) -> None:
    """Check the names of the two files before anything is read or drawn.

    Raises:
        UserError: a wrong suffix; the record is read back by suffix.
    """
    for option, path in (("--pdf", pdf), ("--png", png)):
        suffix = option.replace("--", ".")
        if Path(path).suffix != suffix:
            raise UserError(f"{option}: {path}: the name must end in {suffix}")


def save_figure(
    figure: Figure, pdf: str | os.PathLike[str], png: str | os.PathLike[str], record: Record
) -> None:
    """Write `figure` to `pdf` and `png`, atomically; equal figures and records, equal bytes.

    The records hold the digest of the PNG's pixels and of the PDF's objects. Neither file appears
    unless both were written.

    Raises:
        UserError: a wrong suffix, or a folder that cannot be written.
    """
    check_names(pdf, png)
    with figure_style(), atomic_path(pdf) as pdf_part, atomic_path(png) as png_part:
        canvas: Any = FigureCanvasAgg(figure)  # Matplotlib types no canvas
        figure.set_dpi(PNG_DPI)
        canvas.draw()
        # the background is opaque, so that alpha would only make the file larger
        pixels = np.array(canvas.buffer_rgba())[..., :3]
        full = record.written_to(png, digest_arrays([("pixels", pixels)]))
        text = PngInfo()
        text.add_text(KEY, full.to_json())
        Image.fromarray(pixels).save(png_part, pnginfo=text, dpi=(PNG_DPI, PNG_DPI))
        # the digest is known only once the file is written; a placeholder of its length is
        # replaced then, and the seal with it, which leaves every position in the file as it is
        draft = record.written_to(pdf, "0" * 64).sealed()
        metadata = {"Keywords": draft.to_json(), "CreationDate": None}
        with name_file_in_errors(pdf):
            # not to the file: Matplotlib leaves it open when the disk is full
            drawn = BytesIO()
            figure.savefig(drawn, format="pdf", metadata=metadata)
            written = drawn.getvalue()
            pdf_part.write_bytes(written)
            final = record.written_to(pdf, content_digest(pdf_part)).sealed()
            for field in ("content_digest", "seal"):
                old, new = (f'"{field}": "{getattr(each, field)}"' for each in (draft, final))
                if written.count(old.encode()) != 1:
                    raise RuntimeError("the PDF does not hold its record as it was given")
                written = written.replace(old.encode(), new.encode())
            pdf_part.write_bytes(written)
    logger.info("wrote %s and %s", pdf, png)
