"""Files and folders that nobody but this user may read, and that are still there after a power cut."""

import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def make_folder(path: Path) -> None:
    """The folder is there; what had to be made for it is this user's alone, and stays. Raises OSError."""
    if path.parent != path and not path.parent.exists():
        make_folder(path.parent)
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        sync_folder(path.parent)


def create(path: Path, flags: int = os.O_EXCL) -> int:
    """A descriptor of the file, which is this user's alone if it was made now. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, FILE_MODE)


def sync_folder(path: Path) -> None:
    """The names in the folder outlive a power cut. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
