from __future__ import annotations

import copyreg
import datetime as datetime_module
import importlib
import logging
import pickle
import sqlite3
import subprocess
import sys
import time
import types
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from time import monotonic as imported_monotonic

import freezegun
import pytest
import sqlalchemy as sa
from freezegun import api

from pytest_uno.clock import wall_clock
from pytest_uno.clock.wall_clock import parse_moment
from tests.clock.lockstep import HandWall

START = datetime(2026, 1, 1, tzinfo=UTC)


def stacks() -> list[int]:
    return [len(api.freeze_factories), len(api.ignore_lists), len(api.tick_flags)]


def is_real() -> bool:
    return datetime_module.datetime is datetime is api.real_datetime and time.time is api.real_time


@pytest.fixture(autouse=True)
def everything_real_afterwards() -> Iterator[None]:
    yield
    assert stacks() == [0, 0, 0]
    assert is_real()


class TestMoments:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("2026-01-01", START),
            ("2026-01-01T00:00Z", START),
            ("20260101T000000", START),
            ("2026-01-01T02:00+02:00", START),
            ("2026-01-01T00:00:00.25", START + timedelta(seconds=0.25)),
            (datetime(2026, 1, 1), START),
            (datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))), START),
        ],
    )
    def test_a_moment_is_in_utc(self, value: datetime | str, expected: datetime) -> None:
        moment = parse_moment(value)
        assert moment == expected
        assert moment.tzinfo is UTC

    def test_a_frozen_date_becomes_a_plain_one(self) -> None:
        with freezegun.freeze_time("2026-01-01"):
            frozen = datetime.now()
        assert type(frozen) is not datetime
        assert type(parse_moment(frozen)) is datetime

    @pytest.mark.parametrize(
        "value",
        [
            "tomorrow",
            "",
            5,
            None,
            date(2026, 1, 1),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        ],
    )
    def test_anything_else_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match=r"(?s)is not a moment.*fix: .*messages.html#bad-moment"):
            parse_moment(value)  # type: ignore[arg-type]

    def test_a_refused_moment_changes_nothing(self) -> None:
        wall = HandWall(None)
        with pytest.raises(ValueError, match="bad-moment"):
            wall.travel_to("soon")
        assert not wall.is_lockstep


class TestWithoutLockstep:
    def test_everything_is_real(self) -> None:
        wall = HandWall(None)
        with wall.running():
            assert is_real()
            assert stacks() == [0, 0, 0]
        assert not wall.is_lockstep

    def test_freezegun_is_not_imported(self) -> None:
        code = """
import sys, time
import pytest_uno.clock.wall_clock as wall_clock
wall = wall_clock.WallClock(time)
wall.enter()
wall.exit()
wall_clock.uninstall()
assert wall.now().tzinfo is not None
print([name for name in sys.modules if name.startswith('freezegun')])
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestLockstep:
    def test_dates_follow_the_clock(self) -> None:
        wall = HandWall()
        with wall.running():
            assert datetime.now(UTC) == START
            wall.jump(3600.5)
            later = datetime(2026, 1, 1, 1, 0, 0, 500_000)
            assert datetime.now() == datetime.today() == later
            assert datetime.now(UTC) == wall.now() == later.replace(tzinfo=UTC)
            assert time.time() == later.replace(tzinfo=UTC).timestamp()
            assert time.time_ns() == later.replace(tzinfo=UTC).timestamp() * 1e9
            assert time.gmtime()[:6] == (2026, 1, 1, 1, 0, 0)
            wall.jump(86_400)
            assert date.today() == date(2026, 1, 2)
            assert time.strftime("%d") == time.strftime("%d", time.localtime()) == "02"

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    def test_utcnow_follows_the_clock(self) -> None:
        with HandWall("2030-05-05").running():
            assert datetime.utcnow() == datetime(2030, 5, 5)

    def test_monotonic_clocks_are_the_loops_time(self) -> None:
        wall = HandWall(moment=7.0)
        with wall.running():
            wall.jump(0.25)
            assert time.monotonic() == time.perf_counter() == imported_monotonic() == 7.25
            assert time.monotonic_ns() == time.perf_counter_ns() == 7_250_000_000

    def test_a_jump_computes_nothing(self) -> None:
        class Counting(HandWall):
            asked = 0

            def read_naive(self) -> datetime:
                self.asked += 1
                return super().read_naive()

        wall = Counting()
        with wall.running():
            for _ in range(100):
                wall.jump(1)
            assert wall.asked == 0
            assert datetime.now(UTC) == START + timedelta(seconds=100)

    def test_now_begins_at_the_real_time(self) -> None:
        wall = HandWall(None, moment=1000.0)
        before = datetime.now(UTC)
        with wall.running():
            first = wall.now()
            wall.jump(60)
            assert datetime.now(UTC) == wall.now() == first + timedelta(minutes=1)
        assert timedelta(0) <= first - before < timedelta(minutes=1)

    def test_it_goes_on_between_runs(self) -> None:
        wall = HandWall()
        with wall.running():
            wall.jump(10)
        assert is_real()
        assert wall.now() == START + timedelta(seconds=10)
        with wall.running():
            wall.jump(10)
            assert datetime.now(UTC) == START + timedelta(seconds=20)

    def test_switching_on_and_off_while_running_is_immediate(self) -> None:
        wall = HandWall(None)
        with wall.running():
            assert is_real()
            wall.start_at("2026-01-01")
            assert datetime.now(UTC) == START
            wall.stop()
            assert is_real()
            wall.travel_to(START)
            assert datetime.now(UTC) == START

    def test_travelling_moves_only_the_date(self) -> None:
        wall = HandWall()
        with wall.running():
            wall.jump(5)
            wall.travel_to("2020-02-29T12:00Z")
            assert datetime.now(UTC) == datetime(2020, 2, 29, 12, tzinfo=UTC)
            assert time.monotonic() == 5
            wall.jump(86_400)
            assert date.today() == date(2020, 3, 1)

    def test_an_error_leaves_nothing_behind(self) -> None:
        wall = HandWall()
        with pytest.raises(ZeroDivisionError), wall.running():
            assert 1 / 0
        assert is_real()
        assert datetime_module.datetime not in copyreg.dispatch_table

    def test_uninstalling_leaves_freezegun_as_it_was(self) -> None:
        wall = HandWall()
        with wall.running():
            wall_clock.uninstall()  # without effect
            assert datetime.now(UTC) == START
        wall_clock.uninstall()
        wall_clock.uninstall()
        assert api.tz_offsets == []
        with wall.running():
            assert datetime.now(UTC) == START


class TestModules:
    def test_modules_imported_meanwhile_follow_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "imported_meanwhile.py").write_text(
            "from datetime import datetime\nfrom time import time"
        )
        monkeypatch.syspath_prepend(tmp_path)
        wall = HandWall()
        try:
            with wall.running():
                module = importlib.import_module("imported_meanwhile")
                assert module.datetime.now(UTC) == START
                assert module.time() == START.timestamp()
            assert module.datetime is api.real_datetime
            assert module.time is api.real_time
            with wall.running():
                assert module.datetime.now(UTC) == START
        finally:
            sys.modules.pop("imported_meanwhile", None)

    def test_a_mocked_attribute_is_left_alone_and_found_afterwards(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = types.ModuleType("mocked_for_a_while")
        mock = object()
        vars(module)["datetime"] = mock
        monkeypatch.setitem(sys.modules, module.__name__, module)
        with HandWall().running():
            assert vars(module)["datetime"] is mock
        vars(module)["datetime"] = api.real_datetime
        with HandWall().running():
            assert vars(module)["datetime"].now(UTC) == START
        assert vars(module)["datetime"] is api.real_datetime

    def test_an_attribute_that_is_mocked_meanwhile_stays_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = types.ModuleType("mocked_in_the_run")
        vars(module)["datetime"] = api.real_datetime
        monkeypatch.setitem(sys.modules, module.__name__, module)
        mock = object()
        with HandWall().running():
            vars(module)["datetime"] = mock
        assert vars(module)["datetime"] is mock

    def test_names_of_pytest_stay_real(self) -> None:
        timing = sys.modules["_pytest.timing"]
        with HandWall().running():
            assert vars(timing)["perf_counter"] is api.real_perf_counter

    def test_the_ignore_list_of_freezegun_is_heeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        caller: dict[str, object] = {"__name__": "shop.signing", "time": time}
        exec("def read(): return time.time()", caller)
        read = caller["read"]
        assert callable(read)
        with HandWall().running():
            assert read() == START.timestamp()
        monkeypatch.setattr(freezegun.config.settings, "default_ignore_list", ["shop.signing"])
        with HandWall().running():
            assert read() != START.timestamp()


class TestValues:
    def test_dates_outlive_lockstep(self) -> None:
        with HandWall().running():
            made, factory, days = datetime.now(), datetime, date
        assert made.timestamp() == START.timestamp()
        assert isinstance(made, datetime)
        assert made - datetime(2025, 12, 31) == timedelta(days=1)
        assert abs(factory.now() - datetime.now()) < timedelta(minutes=1)
        assert abs(days.today() - date.today()) <= timedelta(days=1)

    def test_pickling(self) -> None:
        plain = datetime.now()
        with HandWall().running():
            made = datetime.now(UTC)
            inside = pickle.loads(pickle.dumps([plain, made, date.today()]))
            assert inside == [plain, START, date(2026, 1, 1)]
        assert pickle.loads(pickle.dumps(made)) == START
        assert type(pickle.loads(pickle.dumps(plain))) is datetime

    def test_sqlite_and_sqlalchemy_take_the_dates(self) -> None:
        connection = sqlite3.connect(":memory:")
        table = sa.Table("events", sa.MetaData(), sa.Column("at", sa.DateTime), sa.Column("day", sa.Date))
        engine = sa.create_engine("sqlite://")
        with HandWall("2026-01-01T10:00").running():
            [stored] = connection.execute("select ?", [datetime.now()]).fetchone()
            with engine.begin() as writer:
                table.metadata.create_all(writer)
                writer.execute(table.insert().values(at=datetime.now(), day=date.today()))
                assert writer.execute(sa.select(table)).one() == (datetime(2026, 1, 1, 10), date(2026, 1, 1))
        connection.close()
        engine.dispose()
        assert stored == "2026-01-01 10:00:00"

    def test_uuids_carry_the_virtual_time_and_stay_different(self) -> None:
        def moment(one: uuid.UUID) -> datetime:
            return datetime(1582, 10, 15) + timedelta(microseconds=one.time // 10)

        before = uuid.uuid1()
        wall = HandWall("2100-01-01")
        with wall.running():
            first, second = uuid.uuid1(), uuid.uuid1()
            assert first != second
            assert moment(first) == moment(second) == datetime(2100, 1, 1)
            wall.travel_to("2000-01-01")
            assert moment(uuid.uuid1()) == datetime(2000, 1, 1)
        assert before.time < uuid.uuid1().time < first.time

    def test_log_records_carry_the_virtual_time(self, caplog: pytest.LogCaptureFixture) -> None:
        with HandWall().running():
            logging.getLogger(__name__).warning("inside")
        logging.getLogger(__name__).warning("outside")
        inside, outside = caplog.records
        assert inside.created == START.timestamp()
        assert abs(outside.created - time.time()) < 60


def test_the_latest_of_two_clocks_wins() -> None:
    first, second = HandWall("2026-01-01"), HandWall("2027-01-01", moment=3.0)
    first.enter()
    second.enter()
    assert datetime.now() == datetime(2027, 1, 1)
    assert time.monotonic() == 3
    assert first.now() == START
    second.exit()
    assert datetime.now() == datetime(2026, 1, 1)
    assert time.monotonic() == 0
    first.exit()


def test_clocks_may_end_in_the_order_in_which_they_began() -> None:
    first, second = HandWall("2026-01-01"), HandWall("2027-01-01")
    first.enter()
    second.enter()
    first.exit()
    assert datetime.now() == datetime(2027, 1, 1)
    second.exit()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of the process cannot be changed")
def test_local_time_is_real_outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        wall = HandWall()
        with wall.running():
            pass
        assert datetime.now().astimezone().utcoffset() == timedelta(hours=5, minutes=30)
        local, utc = datetime.now(), datetime.now(UTC).replace(tzinfo=None)
        assert timedelta(hours=5) < local - utc < timedelta(hours=6)
    finally:
        monkeypatch.undo()
        time.tzset()
