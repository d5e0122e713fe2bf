"""Service accounts as they are kept."""

import json

import pytest
from eil_mesh.accounts import FILE, Accounts
from eil_mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


def test_accounts_are_read_as_they_were_written(tmp_path):
    accounts = Accounts()
    secrets = {name: accounts.add(name, ("agent",), "acme") for name in ("b", "a")}
    (tmp_path / FILE).write_text(accounts.text())
    read = Accounts.read(tmp_path)
    assert [(a.name, a.roles, a.tenant) for a in read.all()] == [("a", ("agent",), "acme"), ("b", ("agent",), "acme")]
    for name, secret in secrets.items():
        known = read.known(name, secret)
        assert known is not None
        assert known.name == name
        assert secret not in accounts.text()
    assert read.known("a", secrets["b"]) is None
    assert read.known("c", secrets["a"]) is None
    assert secrets["a"] != secrets["b"]


def test_without_a_file_there_are_none(tmp_path):
    assert Accounts.read(tmp_path).all() == []
    assert Accounts.read(tmp_path).known("", "") is None


@pytest.mark.parametrize("name", ["", "A", "a b", "@treasury", "-a", "a" * 64, "ä", "a\n"])
def test_names_are_plain(name):
    with pytest.raises(InvalidArgument):
        Accounts().add(name, ("agent",), "acme")


def test_senseless_accounts_are_refused():
    accounts = Accounts()
    for roles, tenant in ((("emperor",), "acme"), ((), "acme"), (("agent",), "")):
        with pytest.raises(InvalidArgument):
            accounts.add("a", roles, tenant)
    assert accounts.all() == []
    accounts.add("a", ("agent",), "acme")
    with pytest.raises(AlreadyExists, match="rotate"):
        accounts.add("a", ("agent",), "acme")
    for change in (accounts.rotate, accounts.remove):
        with pytest.raises(NotFound):
            change("b")


@pytest.mark.parametrize("text", ["{", '{"accounts": [{"name": "a"}]}', json.dumps({"accounts": {}})])
def test_a_damaged_file_is_not_taken_for_an_empty_one(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(FailedPrecondition, match=FILE):
        Accounts.read(tmp_path)
