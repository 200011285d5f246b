"""Shards whose voxels stay in their file, from which images are read one by one.

The arrays of a shard are stored without compression, so that any part of them can be read where it
lies. What is held in memory of an image is a hundred bytes and its labels.
"""

import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.voxels.shards import Shard

OPEN_FILES = 256
"""Files that are open at a time; a process may have 1024, on most systems."""

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""Before the name of a member (section 4.3.7 of PKWARE's APPNOTE.TXT, the definition of zip)."""

VOXEL_ARRAYS = ("voxel", "mean_q2", "count")


class _OpenFile:
    """A file open for reading until nobody uses it any more."""

    def __init__(self, path: str, _state: tuple[int, int]) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        # where it could not be opened there is no number
        if hasattr(self, "number"):
            os.close(self.number)


_open_file = lru_cache(OPEN_FILES)(_OpenFile)


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


class StoredArray:
    """An array of one dimension inside a file, read where a slice of it is asked for.

    Threads may read at the same time.

    Attributes:
        dtype, shape: as of a NumPy array.
    """

    def __init__(
        self,
        path: str,
        offset: int,
        dtype: np.dtype[Any],
        length: int,
        state: tuple[int, int],
    ) -> None:
        self._path = path
        self._offset = offset
        self._state = state
        self.dtype = dtype
        self.shape = (length,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, entries: slice) -> NDArray[Any]:
        """The entries of a slice without step.

        Raises:
            UserError: the file is gone, or was changed since its content was checked.
        """
        begin, end, step = entries.indices(len(self))
        if step != 1:
            raise ValueError("stored arrays are read in one piece")
        size = max(0, end - begin) * self.dtype.itemsize
        content = bytearray(size)
        try:
            self._fill(memoryview(content), self._offset + begin * self.dtype.itemsize)
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be read any more: {error.strerror}; run the same command "
                "again when it is back"
            ) from error
        return np.frombuffer(content, self.dtype)

    def _fill(self, content: memoryview, offset: int) -> None:
        file = _open_file(self._path, self._state)
        done = 0
        while done < len(content):
            read = os.preadv(file.number, [content[done:]], offset + done)
            if not read:
                break
            done += read
        if done < len(content) or _state(os.fstat(file.number)) != self._state:
            raise UserError(
                f"{self._path}: was changed while it was in use; run the same command again"
            )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, for NumPy's functions; a copy in any case."""
        if copy is False:
            raise ValueError("a stored array is copied when it is read")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def min(self) -> Any:
        """The smallest entry."""
        return self[:].min()

    def max(self) -> Any:
        """The largest entry."""
        return self[:].max()


def stored_arrays(path: str | os.PathLike[str]) -> Mapping[str, StoredArray]:
    """The arrays of one dimension in an uncompressed `.npz` file, by name.

    Raises:
        ValueError: a member is compressed, or not an array as NumPy writes it.
        OSError, zipfile.BadZipFile: the file cannot be read.
    """
    arrays = {}
    with Path(path).open("rb") as file, zipfile.ZipFile(file) as archive:
        state = _state(os.fstat(file.fileno()))
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its {member.filename} is compressed")
            # the header before the content may be longer than that in the list at the file's end
            file.seek(member.header_offset)
            header = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            file.seek(header[-2] + header[-1], os.SEEK_CUR)
            begin = file.tell()
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"its {member.filename} has a header of another version")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            if len(shape) != 1 or fortran or dtype.hasobject:
                continue
            size = shape[0] * dtype.itemsize
            if file.tell() - begin + size != member.file_size:
                raise ValueError(f"its {member.filename} is not as long as it says")
            name = member.filename.removesuffix(".npy")
            arrays[name] = StoredArray(os.fspath(path), file.tell(), dtype, shape[0], state)
    return arrays


def open_shard(path: str | os.PathLike[str]) -> Shard:
    """A shard that reads its voxels when they are asked for.

    Its content is checked once, as by `Shard.load`; while that goes on, it is in memory.

    Returns:
        A shard as `Shard.load` gives it, but `voxel`, `mean_q2` and `count` are `StoredArray`.

    Raises:
        UserError: no such file, not a shard, truncated or inconsistent.
    """
    try:
        arrays = stored_arrays(path)
    except (OSError, ValueError, struct.error, zipfile.BadZipFile) as error:
        Shard.load(path)  # says what is wrong with a file that is no shard
        raise UserError(
            f"{os.fspath(path)}: its images cannot be read one by one ({error}); delete it and "
            "run again"
        ) from error
    shard = Shard.load(path)
    # Any: they are read as arrays are, wherever images are taken out of a shard
    stored: dict[str, Any] = {name: arrays[name] for name in VOXEL_ARRAYS}
    return replace(shard, **stored)
