"""Groups and projects: the query parameters of every call, and where they come from."""

from __future__ import annotations

from typing import Any

import pytest
from anyio import to_thread
from front import Front, standing_before
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli.app import app
from kumo_async.errors import ConfigurationError, ServiceError
from kumo_async.local import Fault, LocalDataPlane, Status

GROUPS = [{"group_id": "g1", "display_name": "Sales"}, {"group_id": "g2", "display_name": "Risk"}]
PROJECTS = [{"id": "p1", "display_name": "Churn"}, {"id": "p2", "display_name": "Fraud"}]
ON = {"/config": {"rbac": True}, "/v1/groups": GROUPS, "/v1/projects": PROJECTS}


async def scope(front: Front, **options: Any) -> dict[str, str]:
    """Return the query of a call."""
    client = kumo_async.KumoClient(front.endpoint, "acme:key", **options)
    await kumo_async.FileUploadConnector("csv", client=client).table_names_async()
    return dict(front.control[-1].query)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RBAC_ENABLED", raising=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"group": "g2"}, {"group_id": "g2"}),
        ({"group": "Sales"}, {"group_id": "g1"}),
        ({"group": "Sales", "project": "Fraud"}, {"group_id": "g1", "project_id": "p2"}),
        ({"group": "g1", "project": "p1"}, {"group_id": "g1", "project_id": "p1"}),
    ],
)
async def test_names_and_ids_become_parameters_of_every_call(
    plane: LocalDataPlane, options: dict[str, str], expected: dict[str, str]
) -> None:
    async with standing_before(plane, answers=ON) as front:
        assert await scope(front, **options) == expected


async def test_they_are_found_once_for_a_client_and_go_with_all_calls_of_an_upload(
    plane: LocalDataPlane, tmp_path: Any
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    async with standing_before(plane, answers=ON) as front:
        client = kumo_async.KumoClient(front.endpoint, "acme:key", group="Sales", project="Churn")
        connector = kumo_async.FileUploadConnector("csv", client=client)
        await connector.upload_async("t", tmp_path / "t.csv")
        await connector.table_names_async()
    looked_up = [request.path for request in front.control if request.method == "GET"]
    assert looked_up == ["/api/config", "/api/v1/groups", "/api/v1/projects"]
    posts = [request.query for request in front.control if request.method == "POST"]
    assert len(posts) > 3
    assert all(query == {"group_id": "g1", "project_id": "p1"} for query in posts)


async def test_the_command_line_takes_them_too(plane: LocalDataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_KEY", "acme:key")
    async with standing_before(plane, answers=ON) as front:
        words = ["ls", "--url", front.endpoint, "--group", "Risk", "--project", "Fraud"]
        done = await to_thread.run_sync(CliRunner().invoke, app, words)
    assert done.exit_code == 0
    assert dict(front.control[-1].query) == {"group_id": "g2", "project_id": "p2"}


async def test_without_them_the_service_is_not_asked(plane: LocalDataPlane) -> None:
    async with standing_before(plane, answers=ON) as front:
        assert await scope(front) == {}
        assert len(front.control) == 1


async def test_the_variable_chooses_the_only_group_and_stands_above_the_flag(
    plane: LocalDataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBAC_ENABLED", "True")
    async with standing_before(plane, answers=ON | {"/config": {"rbac": False}, "/v1/groups": GROUPS[:1]}) as front:
        assert await scope(front) == {"group_id": "g1"}
        assert "/api/config" not in [request.path for request in front.control]
    monkeypatch.setenv("RBAC_ENABLED", "false")
    async with standing_before(plane, answers=ON) as front:
        assert await scope(front, group="g1") == {}
        assert len(front.control) == 1


@pytest.mark.parametrize("flags", [{"rbac": False}, {}, None, {"rbac": "yes"}])
async def test_a_workspace_without_groups_is_used_without_them(
    plane: LocalDataPlane, flags: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing_before(plane, answers={"/config": flags}) as front:
        assert await scope(front, group="Sales") == {}
    assert "no groups and projects" in caplog.text


async def test_an_older_service_has_no_flags(plane: LocalDataPlane) -> None:
    plane.inject(Fault(call="config", answer=Status(404)))
    async with standing_before(plane) as front:
        assert await scope(front, group="Sales") == {}


@pytest.mark.parametrize(
    ("options", "answers", "words"),
    [
        ({"group": "Nobody"}, {}, "no group 'Nobody': there are 'Sales', 'Risk'"),
        ({"group": "g1", "project": "None"}, {}, "no project 'None': there are 'Churn', 'Fraud'"),
        ({"project": "Churn"}, {}, "Give group=, by name or id: there are 'Sales', 'Risk'"),
        ({"project": "Churn"}, {"/v1/groups": []}, "there are none"),
    ],
)
async def test_what_cannot_be_found_is_an_error_that_lists_what_can(
    plane: LocalDataPlane, options: dict[str, str], answers: dict[str, Any], words: str
) -> None:
    async with standing_before(plane, answers=ON | answers) as front:
        with pytest.raises(ConfigurationError, match=words):
            await scope(front, **options)


@pytest.mark.parametrize("groups", [None, 7, [1], [{"id": "g1"}], "abc"])
async def test_an_answer_of_another_form_is_an_error(plane: LocalDataPlane, groups: Any) -> None:
    async with standing_before(plane, answers=ON | {"/v1/groups": groups}) as front:
        with pytest.raises(ServiceError, match="not documented"):
            await scope(front, group="Sales")


async def test_a_flag_that_cannot_be_had_is_an_error_where_a_group_was_asked_for(plane: LocalDataPlane) -> None:
    plane.inject(Fault(call="config", answer=Status(403), times=None))
    async with standing_before(plane) as front:
        with pytest.raises(ServiceError, match="403"):
            await scope(front, group="Sales")
