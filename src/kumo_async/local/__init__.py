"""An embedded Kumo data plane, for tests and for trying things out without a workspace.

    LocalDataPlane    a real HTTP server on loopback that speaks every call of the file upload
    Fault             which calls go wrong, and what they get:
      Status            an HTTP status, such as 503 SlowDown
      Disconnect        the connection breaks
      CutAnswer         it breaks in the middle of the answer
      Stall             the answer is held
      NoETag, WrongETag the part is stored, its receipt is not what it should be
      Garbage           200, and a body that is not the usual one
      HalfAnswer        200, and the first half of the body
      LateEffect        a gateway's status, and what was asked is done later
    Call              one record of what the plane was asked
    CallName          what the calls are named, such as "put_part"; docs/guide.md lists them
    S3Options         how to reach the S3 server that the tables are kept in, if they are

It imports nothing of the uploading side, so that it is a second opinion and not an echo.
"""

from __future__ import annotations

from kumo_async.local.calls import Call, CallName
from kumo_async.local.faults import (
    Answer,
    CutAnswer,
    Disconnect,
    Exchange,
    Fault,
    Garbage,
    HalfAnswer,
    LateEffect,
    NoETag,
    Stall,
    Status,
    WrongETag,
)
from kumo_async.local.plane import LocalDataPlane
from kumo_async.local.s3store import S3Options

__all__ = [
    "Answer",
    "Call",
    "CallName",
    "CutAnswer",
    "Disconnect",
    "Exchange",
    "Fault",
    "Garbage",
    "HalfAnswer",
    "LateEffect",
    "LocalDataPlane",
    "NoETag",
    "S3Options",
    "Stall",
    "Status",
    "WrongETag",
]
