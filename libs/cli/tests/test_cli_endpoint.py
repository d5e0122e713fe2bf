"""endpoint.json: what scripts rely on."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from eil_cli.endpoint import FILE, Endpoint, EndpointMissing, default_state

ENDPOINT = Endpoint(
    url="https://127.0.0.1:8443",
    grpc="127.0.0.1:8443",
    ca="/state/keys/ca.crt",
    admin_token="token",
    metrics={"regime": "http://127.0.0.1:9000/metrics"},
    pid=1,
)


def test_what_is_saved_is_loaded_and_has_the_documented_fields(tmp_path: Path) -> None:
    ENDPOINT.save(tmp_path)

    assert Endpoint.load(tmp_path) == ENDPOINT
    assert {"url", "grpc", "ca", "admin_token", "metrics"} <= set(json.loads((tmp_path / FILE).read_text()))


def test_the_file_holds_a_token_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    (tmp_path / FILE).chmod(0o644)

    ENDPOINT.save(tmp_path)

    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_reader_never_sees_a_part_of_the_file(tmp_path: Path) -> None:
    versions = [replace(ENDPOINT, admin_token=letter * 200_000) for letter in "ab"]
    versions[0].save(tmp_path)
    done, broken = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            try:
                if Endpoint.load(tmp_path) not in versions:
                    broken.append("mixed")
            except EndpointMissing as error:
                broken.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        versions[turn % 2].save(tmp_path)
    done.set()
    reader.join()

    assert broken == []
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_missing_file_says_how_to_start_a_mesh(tmp_path: Path) -> None:
    with pytest.raises(EndpointMissing, match="eil up --detach"):
        Endpoint.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"url": "https://127.0.0.1"}', "nonsense"])
def test_a_damaged_file_is_an_expected_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(EndpointMissing, match="damaged"):
        Endpoint.load(tmp_path)


def test_the_default_state_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EIL_STATE", raising=False)
    assert default_state() == tmp_path / ".eil"

    monkeypatch.setenv("EIL_STATE", str(tmp_path / "elsewhere"))
    assert default_state() == tmp_path / "elsewhere"
