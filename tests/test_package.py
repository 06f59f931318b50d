"""The package as a whole: what it exports, what its import costs, and which way its imports point."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import kumo_async

ROOT = Path(kumo_async.__file__).parent

#: What each layer may import from the package; see design: imports point down, never up or sideways.
VALUES = {"checks", "errors", "escapes", "options", "events", "report", "shield", "threads", "loop", "_version"}
LAYERS = {
    "errors": {"escapes"},
    "escapes": set[str](),
    "_version": set[str](),
    "checks": {"errors"},
    "options": {"checks", "errors"},
    "report": {"escapes"},
    "events": {"errors", "report"},
    "threads": {"errors"},
    "loop": {"errors", "threads"},
    "shield": {"checks", "errors", "threads"},
    "serving": {"errors"},
    "formats": {"errors"},
    "local": {"errors", "formats", "serving", "threads"},
    "service": VALUES | {"local"},
    "sources": VALUES | {"formats"},
    "upload": VALUES | {"formats", "sources", "service"},
    "blocking": {"errors", "loop", "serving"},
    "client": VALUES | {"service", "serving", "upload"},
    "source_table": VALUES | {"blocking", "connector", "service"},
    "connector": VALUES | {"blocking", "client", "formats", "source_table", "upload"},
    "recovery": VALUES | {"blocking", "client", "upload"},
    "tables": VALUES | {"connector", "sources"},
    "__init__": VALUES | {"client", "connector", "recovery", "source_table", "tables"},
    "cli": VALUES
    | {"blocking", "client", "connector", "formats", "local", "recovery"}
    | {"service", "source_table", "sources", "tables"},
    "__main__": {"cli"},
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    package = ("kumo_async", *path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join(module)] if len(module) > 1 else [".".join([*module, a.name]) for a in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("kumo_async.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    layer = layer_of(path)
    allowed = LAYERS[layer] | ({layer} if path.parent != ROOT else set())
    assert imported_layers(path) - {"__version__"} <= allowed


def modules_of_others(path: Path) -> set[str]:
    """What a module imports that is neither Python's nor ours, by statements or as names that `imported` is given."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "imported":
            names |= {str(text.value) for text in node.args if isinstance(text, ast.Constant)}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"kumo_async"}


def distribution(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def with_what_they_need(requirements: list[str]) -> set[str]:
    """The distributions of `requirements`, and those that come with them."""
    found: set[str] = set()
    todo = {distribution(line) for line in requirements}
    while todo - found:
        found.add(name := (todo - found).pop())
        with suppress(PackageNotFoundError):
            todo |= {distribution(line) for line in requires(name) or () if "extra ==" not in line}
    return found


def test_only_what_an_installation_brings_is_imported() -> None:
    project = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["project"]
    brought = with_what_they_need([*project["dependencies"], *chain(*project["optional-dependencies"].values())])
    homes = packages_distributions()
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules()
        for name in modules_of_others(path)
        if not brought & {distribution(home) for home in homes.get(name, [name])}
    }
    assert wrong == set()


def test_every_public_name_is_documented_and_at_home() -> None:
    for name in kumo_async.__all__:
        thing = getattr(kumo_async, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
            assert thing.__module__.startswith("kumo_async"), name


def test_nothing_public_is_left_out_of_all() -> None:
    public = {
        name for name, value in vars(kumo_async).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public <= set(kumo_async.__all__)
    assert len(kumo_async.__all__) == len(set(kumo_async.__all__))


def test_every_method_that_asks_the_service_has_an_async_twin() -> None:
    for owner in (kumo_async.FileUploadConnector, kumo_async.SourceTable):
        for name, twin in vars(owner).items():
            if not name.endswith("_async"):
                continue
            blocking = vars(owner)[name.removesuffix("_async")]
            function: Any = blocking.fget if isinstance(blocking, property) else blocking
            assert inspect.signature(function).parameters == inspect.signature(twin).parameters, name
            assert inspect.iscoroutinefunction(twin), name


def test_errors_derive_from_one() -> None:
    for name in kumo_async.__all__:
        thing = getattr(kumo_async, name)
        if inspect.isclass(thing) and issubclass(thing, Exception):
            assert issubclass(thing, kumo_async.KumoError)
            assert name in (kumo_async.errors.__doc__ or ""), f"{name} is not drawn in the tree"
    for name in ("ConfigurationError", "SourceError", "TableNotFoundError"):
        assert issubclass(getattr(kumo_async, name), ValueError)


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["pandas", "pyarrow", "numpy", "aiohttp", "pydantic", "kumoapi", "typer", "rich", "tenacity", "uvloop"]
    code = f"import sys, kumo_async; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_files_and_functions_stay_small() -> None:
    large = [f"{path.relative_to(ROOT)}" for path in modules() if path.read_text().count("\n") > 350]
    assert large == []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert length <= 40, f"{path.relative_to(ROOT)}: {node.name} has {length} lines"
