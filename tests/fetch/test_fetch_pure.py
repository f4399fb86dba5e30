"""Addresses, names, guards, redaction, pins and reports: what needs no server."""

import ipaddress
import json
from pathlib import Path

import pytest

from modelward_fetch import pin
from modelward_fetch.addresses import Guard, guard_for, is_loopback, refusal
from modelward_fetch.cli import command
from modelward_fetch.credentials import Credentials
from modelward_fetch.digest import of_files, of_listing
from modelward_fetch.failures import EXIT_CODES, FetchFailed, Reason
from modelward_fetch.redaction import HIDDEN, Redactor
from modelward_fetch.report import LARGEST_BYTES, Report
from modelward_fetch.uri import parse

SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "authority", "path", "revision"),
    [
        ("s3://models/fraud/7", "models", "fraud/7", ""),
        ("s3://models", "models", "", ""),
        ("s3://models/a%20b/", "models", "a b/", ""),
        ("s3://models/x.onnx?versionId=3%2Fa", "models", "x.onnx", "3/a"),
        ("gs://models/x?generation=12", "models", "x", "12"),
        ("az://container/x", "container", "x", ""),
        ("https://Example.com:8443/a/b.zip?sig=x", "example.com:8443", "a/b.zip?sig=x", ""),
        ("hf://org/model", "org/model", "", "main"),
        ("hf://org/model@v1/sub/x", "org/model", "sub/x", "v1"),
        ("hf://org/model@refs%2Fpr%2F1", "org/model", "", "refs/pr/1"),
        ("hf://org/model/sub", "org/model", "sub", "main"),
        ("pvc://claim/fraud/7", "claim", "fraud/7", ""),
        ("oci://reg.example/a/b:v1", "reg.example/a/b", "", "v1"),
        ("oci://reg.example:5000/a", "reg.example:5000/a", "", "latest"),
        (f"oci://reg.example/a:v1@sha256:{SHA}", "reg.example/a", "", f"sha256:{SHA}"),
        ("mlflow://models/fraud/7", "models/fraud", "", "7"),
        ("mlflow://models/my%20fraud@champion", "models/my fraud", "", "champion"),
    ],
)
def test_an_address_is_taken_apart_and_written_again(
    text: str, authority: str, path: str, revision: str
) -> None:
    """Written again it means the same."""
    at = parse(text)
    assert (at.authority, at.path, at.revision) == (authority, path, revision)
    if at.scheme != "https":
        assert parse(str(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models/fraud",
        "ftp://host/x",
        "file:///etc/passwd",
        "s3://",
        "s3:///x",
        "s3://models/../x",
        "s3://models/a/%2e%2e/x",
        "s3://models/x?other=1",
        "s3://models/x#y",
        "s3://a b/x",
        "s3://models/\x1b[31m",
        "https://user:planted@host/x",
        "https:///x",
        "https://host:port/x",
        "hf://org",
        "hf://org/model@",
        "oci://registry",
        "oci://registry/UPPER",
        "oci://registry/a@sha256:12",
        "mlflow://fraud/7",
        "mlflow://models/fraud",
        "mlflow://models/fraud/latest",
        "pvc:///x",
        "s3://models/" + "x" * 3000,
    ],
)
def test_an_address_that_is_none(text: str) -> None:
    """With what would be right; its text, which may hold a secret, is not repeated."""
    with pytest.raises(FetchFailed) as raised:
        parse(text)
    assert raised.value.reason == Reason.INVALID_URI
    assert "planted" not in f"{raised.value.message} {raised.value.remedy}"


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.23",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_that_are_never_asked(address: str) -> None:
    """Whatever form they have."""
    assert refusal(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "1.1.1.1", "2606:4700::1", "fd12::1"])
def test_addresses_that_may_be_asked(address: str) -> None:
    """A store in the cluster has a private one."""
    assert refusal(ipaddress.ip_address(address)) is None
    assert not is_loopback(ipaddress.ip_address(address))


def test_this_machine_is_asked_only_when_the_user_names_it() -> None:
    """Not by a name that resolves to it, not by a redirect."""
    assert guard_for("http://127.0.0.1:9000").addresses("127.0.0.1", 9000) == ["127.0.0.1"]
    for host in ("localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(FetchFailed):
            Guard().addresses(host, 80)


def test_plain_http_where_the_administrator_allows_it() -> None:
    """By the host's name alone."""
    guard = guard_for("http://minio.minio:9000", {"minio.minio"})
    guard.check_scheme("http", "minio.minio")
    with pytest.raises(FetchFailed):
        guard.check_scheme("http", "other.minio")


def test_the_digest_is_that_of_sha256sum() -> None:
    """Sorted by bytes, whatever order it came in. A fixed value: it must never change."""
    files = {"b.txt": "2" * 64, "a/z": "1" * 64, "é": "3" * 64, "Z": "4" * 64}
    expected = "sha256:46b17be136e463c8fc14fdce08df239410d32737a949f0736b64ad1ec2992b16"
    assert of_files(files) == of_files(dict(reversed(files.items()))) == expected
    assert of_listing([("a", 1, "x"), ("b", 2, "y")]) == of_listing([("b", 2, "y"), ("a", 1, "x")])


def test_a_secret_is_hidden_in_every_form() -> None:
    """As it is, in an address, in Base64, by its lines; control characters are printed."""
    redact = Redactor()
    redact.add("p+w/secret", "-----BEGIN-----\nline-of-key\n")
    text = "x p+w/secret y p%2Bw%2Fsecret z cCt3L3NlY3JldA== line-of-key \x1b[31m"
    shown = redact(text)
    assert shown.count(HIDDEN) == 4
    assert "secret" not in shown
    assert "\x1b" not in shown
    assert redact("https://a:b@host/x?sig=1&y=2 end") == "https://host/x end"
    assert redact("s3://b/x?versionId=12") == "s3://b/x?versionId=12"


def test_credentials_show_nothing() -> None:
    """Whoever prints them by mistake."""
    given = Credentials({"AWS_SECRET_ACCESS_KEY": "planted-secret"})
    assert "planted" not in f"{given} {given!r}"
    assert given.redactor("planted-secret") == HIDDEN


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ({"resolved": "hf://org/model@" + "a" * 40, "digest": f"sha256:{SHA}"}, True),
        ({"resolved": "hf://org/other@" + "a" * 40, "digest": f"sha256:{SHA}"}, False),
        ({"resolved": "s3://org/model", "digest": f"sha256:{SHA}"}, False),
        ({"resolved": "https://169.254.169.254/x", "digest": f"sha256:{SHA}"}, False),
        ({"resolved": "hf://org/model@main", "digest": "1"}, False),
        ({"resolved": "hf://org/model@main"}, False),
        ([], False),
        ("x" * 3000, False),
    ],
)
def test_a_pin_chooses_among_versions_and_nothing_else(tmp_path: Path, written: object, answer: bool) -> None:  # noqa: FBT001
    """Whoever wrote it."""
    (tmp_path / "pin.json").write_text(json.dumps(written), encoding="utf-8")
    if answer:
        found = pin.read(tmp_path, parse("hf://org/model@main"))
        assert found
        assert found.resolved.revision == "a" * 40
        return
    with pytest.raises(FetchFailed) as raised:
        pin.read(tmp_path, parse("hf://org/model@main"))
    assert (raised.value.reason, raised.value.field) == (Reason.MODEL_CHANGED, "ConfigMap")


def test_without_a_pin(tmp_path: Path) -> None:
    """The volume is optional, the first pod has none."""
    assert pin.read(tmp_path, parse("s3://models/x")) is None
    assert pin.read(None, parse("s3://models/x")) is None


def test_a_report_fits_into_a_termination_message() -> None:
    """However long its texts are, and in ASCII."""
    long = Report(
        result="Failed",
        reason=Reason.UNSAFE_NAME,
        uri="s3://b/" + "ü" * 2000,
        resolved="s3://b/" + "ü" * 2000,
        message="\x1b" * 5000,
        remedy="r" * 5000,
        field="spec.model.uri",
    )
    text = long.as_json(Redactor())
    assert len(text.encode("ascii")) <= LARGEST_BYTES
    assert json.loads(text)["reason"] == "UnsafeName"


def test_every_reason_has_an_exit_code_of_its_own() -> None:
    """And docs/fetch.md lists both."""
    assert set(EXIT_CODES) == set(Reason)
    assert len(set(EXIT_CODES.values())) == len(Reason)
    page = (Path(__file__).parents[2] / "docs" / "fetch.md").read_text(encoding="utf-8")
    for each, code in EXIT_CODES.items():
        assert f"| `{each}` | {code} |" in page


def test_every_option_is_a_variable_of_its_name() -> None:
    """As docs/fetch.md says of pods."""
    context = command.make_context("fetch", ["s3://models/x", "dir"])
    named = {
        each.opts[-1 if each.opts[0].startswith("--") else 1]: each
        for each in command.params
        if each.opts[0].startswith("-")
    }
    for option, each in named.items():
        if each.name != "help":
            expected = f"MODELWARD_FETCH_{option.lstrip('-').upper().replace('-', '_')}"
            assert f"{context.auto_envvar_prefix}_{str(each.name).upper()}" == expected


DIGEST = f"sha256:{SHA}"
SIGNED = "https://example.com/m.bin?sig=secret"


def test_the_pin_of_a_signed_address_is_followed(tmp_path: Path) -> None:
    """A pin holds no query, where the signature is; what is asked is the address that spec has."""
    written = {"resolved": "https://example.com/m.bin", "digest": DIGEST}
    (tmp_path / "pin.json").write_text(json.dumps(written), encoding="utf-8")
    found = pin.read(tmp_path, parse(SIGNED))
    assert found
    assert found.resolved == parse(SIGNED)


COMMIT = "3f1c0a" * 6 + "abcd"


@pytest.mark.parametrize(
    ("uri", "pinned"),
    [
        ("s3://models/m?versionId=A", "s3://models/m?versionId=B"),
        ("gs://models/m?generation=1", "gs://models/m?generation=2"),
        (f"oci://r.example/m@{DIGEST}", f"oci://r.example/m@sha256:{'0' * 64}"),
        ("mlflow://models/fraud/7", "mlflow://models/fraud/8"),
        (f"hf://org/model@{COMMIT}", f"hf://org/model@{COMMIT[::-1]}"),
    ],
)
def test_a_pin_chooses_nothing_where_spec_names_the_version(tmp_path: Path, uri: str, pinned: str) -> None:
    """Somebody who may write a ConfigMap must not send out another version than the one that was named."""
    (tmp_path / "pin.json").write_text(json.dumps({"resolved": pinned, "digest": DIGEST}), encoding="utf-8")
    with pytest.raises(FetchFailed) as raised:
        pin.read(tmp_path, parse(uri))
    assert raised.value.reason is Reason.MODEL_CHANGED
    (tmp_path / "pin.json").write_text(json.dumps({"resolved": uri, "digest": DIGEST}), encoding="utf-8")
    found = pin.read(tmp_path, parse(uri))
    assert found
    assert found.resolved == parse(uri)


def test_a_secret_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """The kubelet mounts an empty folder for an optional Secret: nobody is asked as nobody then."""
    with pytest.raises(FetchFailed, match="does not exist") as raised:
        Credentials.from_folder(tmp_path)
    assert (raised.value.reason, raised.value.field) == (Reason.DENIED, "spec.model.secretRef")


def test_servers_of_the_settings_stand_behind_those_of_the_secret(tmp_path: Path) -> None:
    """The administrator's tracking server is for models whose Secret names none."""
    defaults = {"MLFLOW_TRACKING_URI": "https://mlflow.example.com"}
    (tmp_path / "MLFLOW_TRACKING_TOKEN").write_text("token", encoding="utf-8")
    assert Credentials.from_folder(tmp_path, defaults=defaults)["mlflow_uri"] == "https://mlflow.example.com"
    (tmp_path / "MLFLOW_TRACKING_URI").write_text("https://own.example.com", encoding="utf-8")
    assert Credentials.from_folder(tmp_path, defaults=defaults)["mlflow_uri"] == "https://own.example.com"


@pytest.mark.parametrize("entry", [{}, {"email": "a@example.com"}, {"auth": ""}, None])
def test_an_entry_of_a_credential_helper_is_none(entry: object) -> None:
    """As Docker Desktop writes it: public images are fetched by nobody."""
    config = json.dumps({"auths": {"host": entry, "https://host": {"auth": "YTpi"}}, "credsStore": "desktop"})
    assert Credentials({".dockerconfigjson": config}).registry("host") == "a:b"
    assert Credentials({".dockerconfigjson": config}).registry("other") == ""
    alone = json.dumps({"auths": {"host": entry}})
    assert Credentials({".dockerconfigjson": alone}).registry("host") == ""


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"])
def test_a_metadata_address_is_refused_for_what_it_is(scheme: str, host: str) -> None:
    """Not for its scheme: https would not help. By a redirect, too."""
    with pytest.raises(FetchFailed, match="metadata"):
        guard_for(f"{scheme}://{host}/latest")
    with pytest.raises(FetchFailed, match="metadata"):
        Guard().check_scheme(scheme, host.strip("[]"))
