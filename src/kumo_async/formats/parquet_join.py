"""One Parquet file out of several with the same schema: their pages back to back, and a footer that describes them all.

Content that is encoded anew comes as many small files, since their sizes are known only afterwards. They are joined to
partitions of the size that is asked for:

    joined_footer(footers, indexes)     MAGIC, the pages of each file up to `pages_end`, then both of what this gives
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kumo_async.formats import thrift
from kumo_async.formats.parquet import MAGIC, with_tail
from kumo_async.formats.parquet_footer import NUM_ROWS, ROW_GROUPS, Footer
from kumo_async.formats.parquet_move import Mover
from kumo_async.formats.parquet_page_index import IndexMover, NewOffsetIndexes, PageIndexes
from kumo_async.formats.parquet_retype import without_row_groups
from kumo_async.formats.parquet_row_groups import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cost_of_file", "cost_of_pieces", "joined_footer", "pages_end"]

_GROUP_SLACK = 32
_COLUMN_SLACK = 36
"""Bytes that the description of a column can grow by: its offsets are written with as many bytes as they need."""


def cost_of_file(footer: Footer) -> int:
    """Return the most bytes that a joined file takes beside its pieces."""
    return len(without_row_groups(footer)) + 2 * len(MAGIC) + 4 + _GROUP_SLACK


def cost_of_pieces(footer: Footer) -> int:
    """Return the most bytes that all row groups of a file add to a joined one: their pages and their descriptions."""
    slack = len(footer.row_groups) * (_GROUP_SLACK + _COLUMN_SLACK * len(footer.schema.paths))
    # The place of a page takes seven bytes at the least, and five more at the most where it moves.
    slack += sum(end - start for group in footer.row_groups for start, end in group.offset_indexes)
    return footer.data_end - len(MAGIC) + sum(group.described_by for group in footer.row_groups) + slack


def pages_end(footer: Footer) -> int:
    """Say where the bytes of a file end that are copied: before the offset indexes, if those lie behind all else."""
    places = joined(sorted(place for group in footer.row_groups for place in group.offset_indexes))
    return places[0][0] if len(places) == 1 and places[0][1] == footer.data_end else footer.data_end


def joined_footer(footers: Sequence[Footer], indexes: Sequence[PageIndexes] = ()) -> tuple[bytes, bytes]:
    """Describe the file that has the pages of some files back to back.

    Args:
        footers: The footers of at least one file, all with the same schema; the first one's metadata are kept. Of each
            file all that lies between its first magic number and its `pages_end` is to be copied.
        indexes: The page indexes of each file, as `page_index_ranges` asks for them; nothing to leave them out.

    Returns:
        The new offset indexes, and the new footer with its length and the magic number behind it.

    Raises:
        ParquetError: It is larger than what is ever read.
    """
    described: list[bytes] = []
    position = len(MAGIC)
    made = NewOffsetIndexes(position + sum(pages_end(footer) - len(MAGIC) for footer in footers))
    for number, footer in enumerate(footers):
        pages = (len(MAGIC), pages_end(footer))
        mover = Mover(footer, [pages], {}, position, IndexMover(indexes[number], made) if indexes else None)
        described += (mover.moved(len(described) + n, group) for n, group in enumerate(footer.row_groups))
        position += pages[1] - pages[0]
    first = footers[0]
    values = {
        NUM_ROWS: thrift.write_integer(sum(footer.num_rows for footer in footers)),
        ROW_GROUPS: thrift.write_list(thrift.STRUCT, described),
    }
    new = with_tail(thrift.splice(first.data, 0, len(first.data), thrift.changes(first.fields, values)))
    return made.joined(), new
