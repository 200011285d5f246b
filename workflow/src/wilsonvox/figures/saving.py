"""Save a figure as PDF and PNG with its provenance record embedded."""

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
from wilsonvox.records.digests import KEY, content_digest, digest_arrays
from wilsonvox.records.record import Record

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

    Equal figures and records give identical files. The records contain the digest of the pixels of
    the PNG and of the objects of the PDF. Either both files are written or none.

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
        full = record.written_to(png, digest_arrays([("pixels", pixels)]))
        text = PngInfo()
        text.add_text(KEY, full.to_json())
        Image.fromarray(pixels).save(png_part, pnginfo=text, dpi=(PNG_DPI, PNG_DPI))
        # the digest of the PDF is only known after writing: replace placeholders of the same
        # length for digest and seal, so that all offsets in the file stay valid
        draft = record.written_to(pdf, "0" * 64).sealed()
        metadata = {"Keywords": draft.to_json(), "CreationDate": None}
        with naming(pdf):
            # in memory, because Matplotlib does not close the file if the disk is full
            buffer = BytesIO()
            figure.savefig(buffer, format="pdf", metadata=metadata)
            written = buffer.getvalue()
            pdf_part.write_bytes(written)
            final = record.written_to(pdf, content_digest(pdf_part)).sealed()
            for field in ("content_digest", "seal"):
                old, new = (f'"{field}": "{getattr(version, field)}"' for version in (draft, final))
                if written.count(old.encode()) != 1:
                    raise RuntimeError("the PDF does not contain its record unchanged")
                written = written.replace(old.encode(), new.encode())
            pdf_part.write_bytes(written)
    logger.info("wrote %s and %s", pdf, png)
