"""Faults that end at a moment of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aiohttp import web

from kumo_async.local import Answer, Exchange, Fault

__all__ = ["Switch"]


@dataclass
class Switch:
    """Makes faults that go wrong for as long as it is on."""

    on: bool = True

    def fault(self, fault: Fault) -> Fault:
        """Give the same fault, which ends when this is turned off."""
        return replace(fault, answer=_Switched(self, fault.answer))


@dataclass
class _Switched:
    switch: Switch
    answer: Answer

    async def give(self, exchange: Exchange) -> web.Response:
        return await (self.answer.give(exchange) if self.switch.on else exchange.effect())
