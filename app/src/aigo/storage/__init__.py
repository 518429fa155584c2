"""Files at rest: encrypted by keys that have names, in a directory that hosts may share."""

from aigo.storage.directory import DirectoryStorage, NoSuchFile, StorageFull
from aigo.storage.keys import KeyRing, Unreadable

__all__ = ["DirectoryStorage", "KeyRing", "NoSuchFile", "StorageFull", "Unreadable"]
