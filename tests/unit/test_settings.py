"""Settings: every fault at once, never a value, and a weak production does not start."""

import ipaddress
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.errors import SetupError
from hookvault.settings import Settings, check_key, load_settings

KEY = "00112233445566778899aabbccddeeff" * 2
SESSION = "session-secret-of-more-than-32-characters"


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)

    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return give


def test_development_needs_nothing(environment):
    settings = load_settings()
    assert (settings.host, settings.port, settings.app_url) == ("127.0.0.1", 3000, "http://127.0.0.1:3000")
    assert settings.allow_http
    assert [str(network) for network in settings.allowed_networks] == ["127.0.0.0/8", "::1/128"]
    assert settings.database_url is None
    assert str(settings.hookvault_data_dir) == ".hookvault"


def test_production_calls_no_private_network_and_no_plain_http_unless_told(environment):
    environment(APP_ENV="production", ENCRYPTION_KEY=KEY, SESSION_SECRET=SESSION)
    assert not load_settings().allow_http
    assert load_settings().allowed_networks == ()
    environment(WEBHOOK_ALLOW_HTTP="true", WEBHOOK_ALLOWED_NETWORKS="10.0.0.0/8, fd00::/8,")
    assert load_settings().allow_http
    assert load_settings().allowed_networks == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("fd00::/8"),
    )


def test_production_lists_all_that_is_weak_at_once(environment):
    environment(APP_ENV="production", ADMIN_PASSWORD="short-pw")
    with pytest.raises(SetupError) as caught:
        load_settings()
    for name in ("ENCRYPTION_KEY", "SESSION_SECRET", "ADMIN_PASSWORD"):
        assert f"\n  {name}: " in caught.value.message
    assert "hookvault keys generate" in caught.value.message
    assert "short-pw" not in caught.value.message


def test_one_fault_is_one_line(environment):
    environment(APP_ENV="production", SESSION_SECRET=SESSION)
    with pytest.raises(SetupError) as caught:
        load_settings()
    assert caught.value.message == "ENCRYPTION_KEY: required in production; make one with: hookvault keys generate"


def test_the_session_secret_is_not_the_key(environment):
    environment(APP_ENV="production", ENCRYPTION_KEY=KEY, SESSION_SECRET=KEY.upper())
    with pytest.raises(SetupError, match="SESSION_SECRET: must not be the ENCRYPTION_KEY"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("APP_ENV", "staging-7f"),
        ("ENCRYPTION_KEY", "zz" * 32),
        ("ENCRYPTION_KEY", "ab" * 31),
        ("ENCRYPTION_KEY", "a1" * 32),
        ("ENCRYPTION_KEY_NEXT", KEY + "0"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("WEBHOOK_ALLOWED_NETWORKS", "localhost-7f"),
        ("WEBHOOK_TIMEOUT_S", "-1"),
        ("WEBHOOK_TIMEOUT_S", "nan"),
        ("LOG_LEVEL", "loud-7f"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(environment, name, value):
    environment(**{name: value})
    with pytest.raises(SetupError) as caught:
        load_settings()
    assert caught.value.message.startswith(f"{name}: ")
    if "KEY" in name:
        assert value not in caught.value.message


def test_empty_means_not_set(environment):
    environment(PORT="", ENCRYPTION_KEY="", DATABASE_URL="")
    settings = load_settings()
    assert (settings.port, settings.encryption_key, settings.database_url) == (3000, None, None)


def test_secrets_do_not_show(environment):
    environment(ENCRYPTION_KEY=f" {KEY}\n", DATABASE_URL="postgresql://u:hidden-pw@h/d", ADMIN_PASSWORD="hidden-too")
    settings = load_settings()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert KEY not in shown
        assert "hidden" not in shown
    assert settings.encryption_key.get_secret_value() == KEY


def test_settings_are_frozen(environment):
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


@given(st.text(alphabet="0123456789abcdefABCDEF", min_size=64, max_size=64))
def test_a_key_is_taken_in_either_case_and_kept_in_lower(text):
    if len(set(text.lower())) >= 4:
        assert check_key(text) == text.lower()
    else:
        with pytest.raises(ValueError, match="protects nothing"):
            check_key(text)


@given(st.text(max_size=70))
def test_anything_else_is_no_key(text):
    if len(text) == 64 and set(text) <= set("0123456789abcdefABCDEF"):
        return
    with pytest.raises(ValueError, match="64 hexadecimal") as caught:
        check_key(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_the_environment_alone_is_read(environment, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("PORT=4444\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings().port == 3000
    assert "PORT" not in os.environ


def test_a_database_url_of_another_kind_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://someone:hunter2hunter2@db/x")
    with pytest.raises(SetupError) as caught:
        load_settings()
    assert "DATABASE_URL: must be the URL of a PostgreSQL database" in caught.value.message
    assert "hunter2" not in caught.value.message
