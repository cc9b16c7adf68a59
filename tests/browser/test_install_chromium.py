from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.browser.install_chromium import find_chromium, main


@pytest.fixture
def bin_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder on PATH, which is empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_program(folder: Path, name: str) -> None:
    (folder / name).touch(0o755)


def refuse(command: Sequence[str]) -> None:
    raise AssertionError(f"{command} is run")


def test_a_browser_that_is_there_is_taken(bin_folder: Path) -> None:
    put_program(bin_folder, "google-chrome")
    main(refuse)
    assert find_chromium() == str(bin_folder / "google-chrome")


def test_without_apt_one_must_be_there(bin_folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"put one of chromium, .* on PATH"):
        main(refuse)


@pytest.mark.parametrize(("user", "begin"), [(0, "env"), (1000, "sudo")])
def test_debians_is_installed(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch, user: int, begin: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    put_program(bin_folder, "apt-get")
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> None:
        commands.append(command)
        if "install" in command:
            put_program(bin_folder, "chromium")

    main(run)
    assert [command[0] for command in commands] == [begin, begin]
    assert ["update" in command for command in commands] == [True, False]
    assert "chromium" in commands[1]
    assert find_chromium() == str(bin_folder / "chromium")


def test_what_apt_does_not_have_is_an_error(bin_folder: Path) -> None:
    put_program(bin_folder, "apt-get")

    def fail(command: Sequence[str]) -> None:
        raise subprocess.CalledProcessError(100, list(command))

    with pytest.raises(SystemExit, match=r"could not be installed: .*exit status 100"):
        main(fail)
    with pytest.raises(SystemExit, match="there is no `chromium` on PATH"):
        main(lambda command: None)
