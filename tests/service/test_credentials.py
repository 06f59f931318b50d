"""Where the service is and who we are."""

from __future__ import annotations

import pickle

import pytest

import kumo_async
from kumo_async.errors import ConfigurationError
from kumo_async.service.credentials import resolve


def test_arguments_stand_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_ENDPOINT", "https://env.example/api")
    monkeypatch.setenv("KUMO_API_KEY", "env:key")
    assert resolve(None, None).endpoint == "https://env.example/api"
    assert resolve(None, None).api_key == "env:key"
    assert resolve("https://arg.example/api/", "arg:key").endpoint == "https://arg.example/api"
    assert resolve("https://arg.example/api/", "arg:key").api_key == "arg:key"


def test_the_endpoint_is_the_keys_workspace_over_https() -> None:
    assert resolve(None, "acme:secret").endpoint == "https://acme.kumoai.cloud/api"


@pytest.mark.parametrize("url", [" https://acme.kumoai.cloud/api", "https://acme.kumoai.cloud/api/\n", "local:/x \r\n"])
def test_blanks_and_line_breaks_around_the_endpoint_do_not_matter(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(url, "acme:secret").endpoint == url.strip().rstrip("/")
    monkeypatch.setenv("KUMO_API_ENDPOINT", url)
    assert resolve(None, "acme:secret").endpoint == url.strip().rstrip("/")
    monkeypatch.setenv("KUMO_API_ENDPOINT", " \n")
    assert resolve(None, "acme:secret").endpoint == "https://acme.kumoai.cloud/api"


def test_without_credentials_the_error_names_all_ways_to_give_them() -> None:
    with pytest.raises(ConfigurationError) as caught:
        kumo_async.init()
    for way in ("KUMO_API_KEY", "KUMO_API_ENDPOINT", "local:", "init("):
        assert way in str(caught.value)


def test_local_needs_no_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    credentials = resolve(f"local:{root}", None)
    assert credentials.local_root == root
    assert credentials.api_key is None
    assert resolve("local:", None).local_root is not None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/api",
        "acme.kumoai.cloud",
        "http://acme.kumoai.cloud/api",
        "http://localhost.example.com/api",
        "https://",
        "https://user:pw@host/api",
        "https://host/api?key=x",
        "https://host/a\npi",
        "https://ho\tst/api",
        "https://host/a pi",
        "https://host:99999/api",
        "https://[::1/api",
    ],
)
def test_an_endpoint_that_cannot_be_right_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(url, "acme:secret")
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/api", "http://localhost/api", "http://[::1]:1/api"])
def test_loopback_may_be_in_the_clear(url: str) -> None:
    assert resolve(url, "k").endpoint == url


@pytest.mark.parametrize("key", ["a\nb:c", " acme:secret", "acme:secret\n", "no-colon", "ä:b", ":x", "a/b:c"])
def test_a_key_that_cannot_be_right_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(None, key)
    assert key.strip() not in str(caught.value)


def test_the_key_is_never_shown_or_pickled() -> None:
    client = kumo_async.KumoClient("https://acme.kumoai.cloud/api", "acme:secret")
    connector = kumo_async.FileUploadConnector("csv", client=client)
    assert "secret" not in f"{client!r} {connector!r} {client.credentials!r} {vars(connector)}"
    with pytest.raises(TypeError):
        pickle.dumps(client)


def test_a_second_init_replaces_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    connector = kumo_async.FileUploadConnector("csv")
    kumo_async.init("https://one.example/api", "k")
    assert connector.client.endpoint == "https://one.example/api"
    kumo_async.init("https://two.example/api", "k")
    assert connector.client.endpoint == "https://two.example/api"
    monkeypatch.setenv("KUMO_API_ENDPOINT", "https://env.example/api")
    assert connector.client.endpoint == "https://two.example/api"


def test_without_init_the_environment_counts_and_its_client_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    connector = kumo_async.FileUploadConnector("csv")
    monkeypatch.setenv("KUMO_API_KEY", "acme:secret")
    first = connector.client
    assert connector.client is first
    monkeypatch.setenv("KUMO_API_KEY", "other:secret")
    assert connector.client.endpoint == "https://other.kumoai.cloud/api"
