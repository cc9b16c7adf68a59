from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.loading import load_engine, load_function, load_metadata
from tests.database import shop_schema

_MODULE = "tests.database.shop_schema"


def test_an_engine_is_found_by_its_name() -> None:
    assert load_engine(f"{_MODULE}:engine") is shop_schema.engine


def test_a_function_may_make_the_engine() -> None:
    assert load_engine(f"{_MODULE}:make_engine") is shop_schema.engine


@pytest.mark.parametrize("path", ["metadata", "Base", "Base.metadata"])
def test_metadata_is_found_by_its_name_or_that_of_the_base(path: str) -> None:
    assert load_metadata(f"{_MODULE}:{path}") is shop_schema.metadata


def test_a_function_is_found_by_its_name() -> None:
    assert load_function(f"{_MODULE}:seed", "uno_db_seed") is shop_schema.seed


@pytest.mark.parametrize("spec", ["app.db", "app.db:", ":engine", "engine"])
def test_a_name_needs_module_and_attribute(spec: str) -> None:
    with pytest.raises(SandboxError, match="not of the form module:attribute"):
        load_engine(spec)


def test_a_missing_module_is_named() -> None:
    with pytest.raises(
        SandboxError, match=r"uno_db_engine = tests.nowhere.db:engine: there is no module 'tests.nowhere'"
    ):
        load_engine("tests.nowhere.db:engine")


def test_a_misspelt_attribute_gets_a_suggestion() -> None:
    with pytest.raises(SandboxError, match=r"has no attribute 'engin'(?s:.*)did you mean 'engine'"):
        load_engine(f"{_MODULE}:engin")


def test_an_attribute_of_an_attribute_is_named_by_its_type() -> None:
    with pytest.raises(SandboxError, match="AsyncEngine object has no attribute 'qqqq'"):
        load_engine(f"{_MODULE}:engine.qqqq")


def test_a_module_that_imports_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library_at_all", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SandboxError, match="install what provides no_such_library_at_all"):
        load_engine("needs_more:engine")


def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails_at_once.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SandboxError, match="importing fails_at_once failed: ZeroDivisionError"):
        load_engine("fails_at_once:engine")


@pytest.mark.parametrize("name", ["metadata", "make_engine_late"])
def test_something_else_than_an_engine(name: str) -> None:
    with pytest.raises(SandboxError, match="instead of an AsyncEngine"):
        load_engine(f"{_MODULE}:{name}")


def test_a_synchronous_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_schema, "engine", create_engine("sqlite://"))
    with pytest.raises(SandboxError, match=r"Engine object instead of(?s:.*)create_async_engine"):
        load_engine(f"{_MODULE}:engine")


def test_something_else_than_metadata() -> None:
    with pytest.raises(SandboxError, match="int object instead of a MetaData"):
        load_metadata(f"{_MODULE}:not_metadata")


def test_something_that_cannot_be_called() -> None:
    with pytest.raises(SandboxError, match="int object cannot be called"):
        load_function(f"{_MODULE}:not_metadata", "uno_db_seed")
