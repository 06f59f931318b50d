"""Taking an old table away, whatever shape it had and whatever the service's delete call covers.

It is not known whether deleting `name` also removes the partitions `name.ext/part_*`. So it is asked for first, and as
long as the table is still there, its partitions are deleted one after the other.
"""

from __future__ import annotations

from itertools import count

from ..errors import ServiceError
from ..service.control import ControlPlane
from .plan import partition_name

__all__ = ["remove_table"]

#: How many partition numbers in a row may be unknown to the service before the search for more ends.
_MOST_MISSES = 50


async def remove_table(control: ControlPlane, connector: str, table: str, file_type: str) -> bool:
    """Delete a table with all its objects; return whether there was one.

    Raises:
        ServiceError: If the service refuses, or the table is still there afterwards.
    """
    if not await control.has_table(connector, table):
        return False
    await control.delete_object(connector, table)
    misses = 0
    for number in count(1):
        if not await control.has_table(connector, table):
            return True
        known = await control.delete_object(connector, partition_name(table, file_type, number))
        misses = 0 if known else misses + 1
        if misses > _MOST_MISSES:
            break
    raise ServiceError(
        f"The service still shows table {table!r} although every object of it that can be named was deleted. Delete it "
        f"in Kumo, and try again.",
        table=table,
    )
