"""What a journal says: its records, and the state that they lead to. No I/O.

An upload notes what it has done, so that whoever comes after it can go on from there:

    head        which upload this is: the table, the source's identity, how it is cut
    stored      all parts of a partition are stored; with the receipt that its commit needs
    begun       the commit begins; from now on the old table may be gone
    cleared     the old table is gone, and objects become visible
    completed   an object is visible
    undoing     the commit has failed, and what it made visible is being deleted
    undone      that is done, or the old table could not be touched: nothing of the new table is visible

The journal of an upload that ended well is deleted. None ever holds a presigned URL, a key, or a value out of the
user's data.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256

from ..service.messages import file_type_of
from .plan import partition_name
from .transfer import Receipt

__all__ = [
    "Begun",
    "Cleared",
    "Completed",
    "Head",
    "JournalError",
    "JournalState",
    "Phase",
    "Record",
    "Stored",
    "Undoing",
    "Undone",
    "table_key",
]


class JournalError(Exception):
    """A journal that is not to be trusted. It stays inside the package."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """Which upload a journal is of. Two are equal if they are of the same upload, whenever that was.

    Attributes:
        format: The format of the journal.
        id: Names this journal among all others.
        created: When it was begun, in seconds since the epoch.
        endpoint: The service's base URL with group and project, or the embedded data plane's directory.
        connector: The connector's id.
        table: The table as the user named it.
        path: The source file.
        device: The source's device, inode, size in bytes, and times in nanoseconds. Its times are those of the last
            change of its content, which programs may set, and of the last change of anything, which none can.
        partition_size: Target size of a partition in bytes, None for one object.
        arguments: A digest of all else that decides which bytes are sent.
    """

    format: int
    id: str = field(compare=False)
    created: int = field(compare=False)
    endpoint: str
    connector: str
    table: str
    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    partition_size: int | None
    arguments: str

    @property
    def table_key(self) -> str:
        """What the names of the table's journals begin with."""
        return table_key(self.endpoint, self.connector, self.table)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """All parts of a partition are stored.

    Attributes:
        receipt: What its commit needs.
        content: A digest of what the partition consists of; see `fingerprint`.
    """

    receipt: Receipt
    content: str


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The commit begins.

    Attributes:
        partitions: How many the table has.
        supersedes: The ids of journals whose interrupted commits this one replaces.
    """

    partitions: int
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """The old table is gone."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """An object is visible."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """The commit is being taken back.

    Attributes:
        void: The objects that have to be sent anew for the next commit.
    """

    void: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Undone:
    """Nothing of the new table is visible any more."""


Record = Head | Stored | Begun | Cleared | Completed | Undoing | Undone


class Phase(Enum):
    """How far an upload is."""

    SENDING = auto()  #: partitions are being stored; nothing has changed in Kumo
    BEGUN = auto()  #: the old table may be gone, whole or in part
    CLEARED = auto()  #: the old table is gone, and some of the new objects may be visible
    UNDOING = auto()  #: some of the new objects may still be visible, and none of them is to be


@dataclass
class JournalState:
    """What the records of a journal lead to."""

    head: Head
    stored: dict[str, Stored] = field(default_factory=dict)
    phase: Phase = Phase.SENDING
    partitions: int = 0
    supersedes: tuple[str, ...] = ()
    completed: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        """The objects that the commit under way makes visible, in order."""
        return [_object_name(self.head, number) for number in range(1, self.partitions + 1)]

    @property
    def beyond(self) -> str:
        """The name of an object that the table does not have, but a larger one would, or one of the other shape."""
        number = 1 if self.head.partition_size is None else self.partitions + 1
        return partition_name(self.head.table, file_type_of(self.head.connector), number)

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of the commit under way, in order; none for an object that has to be sent anew."""
        return [self.stored[name].receipt for name in self.names if name in self.stored]

    def apply(self, record: Record) -> None:
        """Take note of what happened.

        Raises:
            JournalError: If it cannot have happened now.
        """
        if not self._may_follow(record):
            raise JournalError(f"{type(record).__name__} cannot follow in phase {self.phase.name}")
        match record:
            case Stored(receipt=receipt):
                self.stored[receipt.name] = record
            case Begun():
                self.phase, self.partitions, self.supersedes = Phase.BEGUN, record.partitions, record.supersedes
                self.completed = set()
            case Cleared():
                self.phase = Phase.CLEARED
            case Completed(name=name):
                self.completed.add(name)
            case Undoing(void=void):
                self.phase = Phase.UNDOING
                self.stored = {name: stored for name, stored in self.stored.items() if name not in void}
            case Undone():
                self.phase, self.completed = Phase.SENDING, set()

    def _may_follow(self, record: Record) -> bool:
        match record:
            case Stored(receipt=receipt):
                return self.phase is Phase.SENDING and _belongs(self.head, receipt.name)
            case Begun(partitions=count):
                names = (_object_name(self.head, number) for number in range(1, count + 1))
                return self.phase is Phase.SENDING and count > 0 and all(name in self.stored for name in names)
            case Cleared():
                return self.phase is Phase.BEGUN
            case Completed(name=name):
                return self.phase is Phase.CLEARED and name in self.stored
            case Undoing():
                return self.phase is Phase.CLEARED
            case Undone():
                return self.phase in (Phase.BEGUN, Phase.UNDOING)
        return False


def table_key(endpoint: str, connector: str, table: str) -> str:
    """Return what the names of a table's journals begin with.

    Example:
        >>> len(table_key("https://acme.kumoai.cloud/api", "csv_upload_connector", "orders"))
        32
    """
    return sha256(json.dumps([endpoint, connector, table]).encode()).hexdigest()[:32]


def _object_name(head: Head, number: int) -> str:
    whole = head.partition_size is None
    return partition_name(head.table, file_type_of(head.connector), None if whole else number)


def _belongs(head: Head, name: str) -> bool:
    """Say whether an object is one of the table: a journal must never lead to another table's objects."""
    number = re.search(r"part_([0-9]{4,9})\.[a-z]+$", name)
    return name == _object_name(head, int(number[1]) if number and head.partition_size is not None else 0)
