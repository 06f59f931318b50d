"""asyncio cancels a task whose thread is at a journal or lock: neither is left behind, nor closed under the thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_journal import HEAD, stored

from gate import ThreadGate
from kumo_async.upload import journaling
from kumo_async.upload.journal_files import LockedFile, survey
from kumo_async.upload.journaling import Journals


def held(gate: ThreadGate, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function of the journal files do its work, and hold its thread before it returns."""
    function: Callable[..., Any] = getattr(journaling, name)

    def hold(*arguments: Any, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        gate.passed()
        return result

    monkeypatch.setattr(journaling, name, hold)


async def test_a_journal_is_not_left_by_who_never_got_it(
    journals: Path, closed_gate: ThreadGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(closed_gate, "claim", monkeypatch)
    opened = await Journals.open(None)
    await closed_gate.check_outlasts(asyncio.create_task(opened.claim(HEAD, resume=True)))
    assert not list(journals.rglob("*.journal"))


async def test_a_table_is_not_locked_by_who_has_left(
    journals: Path, closed_gate: ThreadGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(closed_gate, "lock", monkeypatch)
    opened = await Journals.open(None)

    async def hold_table() -> None:
        async with opened.table(HEAD.table_key):
            raise AssertionError("cancelled before")

    await closed_gate.check_outlasts(asyncio.create_task(hold_table()))
    assert not list(journals.rglob("*.lock"))


async def test_a_journal_is_not_closed_while_a_thread_writes_it(
    journals: Path, closed_gate: ThreadGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LockedFile.append

    def hold(file: LockedFile, lines: bytes, *, sync: bool) -> None:
        closed_gate.passed()
        append(file, lines, sync=sync)

    journal = await (await Journals.open(None)).claim(HEAD, resume=True)
    monkeypatch.setattr(LockedFile, "append", hold)

    async def note() -> None:
        try:
            await journal.note(stored(1))
        finally:
            await journal.leave()

    await closed_gate.check_outlasts(asyncio.create_task(note()))
    [unfinished] = survey(journals)
    assert list(unfinished.state.stored) == [stored(1).receipt.name]
