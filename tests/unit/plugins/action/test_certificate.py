"""The action and the module certificate together: the host is a directory, everything else is real."""

from __future__ import annotations

import datetime
import getpass
import grp
import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.aigo.onprem.plugins.action.certificate import ActionModule
from ansible_collections.aigo.onprem.plugins.module_utils import _certificate, _pki
from ansible_collections.aigo.onprem.plugins.modules import certificate as module
from ansible_collections.aigo.onprem.plugins.plugin_utils._authority import Authority

PASSPHRASE = "a passphrase of these tests"
ME = getpass.getuser()
MY_GROUP = grp.getgrgid(os.getgid()).gr_name


class Site:
    """A controller with an authority's directory and one host whose certificates lie in another."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.authority = root / "ca"
        self.host = root / "host" / "pki"
        self.sent: list[dict[str, Any]] = []
        self.tamper: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

        def execute(_action: Any, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
            self.sent.append(module_args)
            with patch_module_args(module_args | {"_ansible_check_mode": self.check}), pytest.raises(SystemExit):
                module.main()
            answer = json.loads(capsys.readouterr().out)
            if answer.get("failed"):
                raise AnsibleError(answer["msg"])
            answer.pop("invocation", None)
            return self.tamper(answer)

        monkeypatch.setattr(ActionModule, "_execute_module", execute)

    def run(self, *, check: bool = False, passphrase: str = PASSPHRASE, **options: Any) -> dict[str, Any]:
        self.check = check
        self.sent.clear()
        task = Task.load({"action": "aigo.onprem.certificate", "check_mode": check})
        task.args = {"authority": {"directory": str(self.authority), "passphrase": passphrase}, **options}
        connection = connection_loader.get("local", PlayContext())
        result: dict[str, Any] = ActionModule(task, connection, PlayContext(), DataLoader(), None, None).run(
            task_vars={}
        )
        return result

    def certify(self, *certificates: dict[str, Any], **options: Any) -> dict[str, Any]:
        return self.run(certificates=list(certificates or [wanted()]), directory=str(self.host), **options)

    def read(self, file: str, name: str = "web") -> str:
        return (self.host / name / file).read_text()


def wanted(**options: Any) -> dict[str, Any]:
    names = ["DNS:node1", "IP:127.0.0.1"]
    return {"name": "web", "subject_alt_names": names, "owner": ME, "group": MY_GROUP, **options}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    site = Site(tmp_path, monkeypatch, capsys)
    site.run(state="authority")
    return site


def test_authority_is_made_once_and_its_key_is_private_and_encrypted(site: Site) -> None:
    key = site.authority / "ca.key"
    assert key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((site.authority / "ca.pem").stat().st_mode) == 0o644
    before = key.read_bytes()
    again = site.run(state="authority")
    assert not again["changed"]
    assert key.read_bytes() == before
    assert again["authority"] == (site.authority / "ca.pem").read_text()


def test_authority_is_an_ec_p384_root_of_ten_years_that_signs_leaves_only(site: Site) -> None:
    root = x509.load_pem_x509_certificate((site.authority / "ca.pem").read_bytes())
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.key_size == 384
    assert (root.not_valid_after_utc - root.not_valid_before_utc).days == 3650
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)


def test_authority_refuses_a_wrong_passphrase_half_a_pair_and_a_weak_passphrase(site: Site, tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"can't be opened with authority\.passphrase"):
        site.run(state="authority", passphrase="another long passphrase")
    (site.authority / "ca.key").unlink()
    with pytest.raises(AnsibleError, match=r"holds ca\.pem alone"):
        site.run(state="authority")
    site.authority = tmp_path / "new"
    with pytest.raises(AnsibleError, match="fewer than 16"):
        site.run(state="authority", passphrase="short")


def test_new_certificate_verifies_strictly_for_its_names(site: Site) -> None:
    result = site.certify()
    assert result["changed"]
    assert result["certificates"][0]["reason"] == "there is none"
    where = site.host / "web"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"]
    subprocess.run([*command, "-CAfile", where / "ca.pem", where / "cert.pem"], check=True)
    assert stat.S_IMODE((where / "key.pem").stat().st_mode) in (0o600, 0o640)
    assert stat.S_IMODE(where.stat().st_mode) == 0o750
    assert sorted(path.name for path in site.host.iterdir()) == ["web"]


def test_subject_alternative_name_is_critical_exactly_when_there_is_no_subject(site: Site) -> None:
    site.certify(wanted(), wanted(name="named", common_name="node1"))
    for name, critical in (("web", True), ("named", False)):
        certificate = x509.load_pem_x509_certificate(site.read("cert.pem", name).encode())
        assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical is critical


def test_second_run_takes_one_round_trip_and_changes_nothing(site: Site) -> None:
    site.certify()
    content = site.read("cert.pem")
    result = site.certify()
    assert len(site.sent) == 1
    assert not result["changed"]
    assert site.read("cert.pem") == content


def test_passphrase_and_authority_key_are_never_sent_to_the_host(site: Site) -> None:
    site.certify()
    assert len(site.sent) == 2
    assert PASSPHRASE not in repr(site.sent)
    assert "PRIVATE KEY" not in repr(site.sent)
    assert str(site.authority) not in repr(site.sent)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"subject_alt_names": ["DNS:node2"]}, "subject_alt_names differ"),
        ({"usages": ["server", "client"]}, "usages differ"),
        ({"common_name": "node1"}, "common_name differs"),
        ({"key_type": "ec384"}, "key_type differs"),
    ],
)
def test_changed_wish_renews_certificate_and_key(site: Site, change: dict[str, Any], reason: str) -> None:
    site.certify()
    key = site.read("key.pem")
    result = site.certify(wanted(**change))
    assert result["certificates"][0]["reason"] == reason
    assert site.read("key.pem") != key
    assert not site.certify(wanted(**change))["changed"]


def test_certificate_with_too_few_days_is_renewed(site: Site) -> None:
    site.certify(valid_days=20, renew_days=10)
    result = site.certify()
    assert result["certificates"][0]["reason"].endswith("days are left")
    left = datetime.datetime.fromisoformat(result["certificates"][0]["not_after"]) - datetime.datetime.now(datetime.UTC)
    assert 88 <= left.days <= 90


def test_foreign_key_damaged_certificate_and_force_renew(site: Site) -> None:
    site.certify()
    foreign = subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1"], capture_output=True, check=True)
    (site.host / "web" / "key.pem").write_bytes(foreign.stdout)
    assert site.certify()["certificates"][0]["reason"] == "its key does not belong to it"
    (site.host / "web" / "cert.pem").write_text("rubbish")
    assert site.certify()["certificates"][0]["reason"] == "there is none"
    assert site.certify(force=True)["certificates"][0]["reason"] == "asked for"


def test_only_the_one_that_is_due_is_renewed(site: Site) -> None:
    site.certify(wanted(), wanted(name="other"))
    other = site.read("cert.pem", "other")
    result = site.certify(wanted(usages=["client"]), wanted(name="other"))
    assert [entry["changed"] for entry in result["certificates"]] == [True, False]
    assert site.read("cert.pem", "other") == other


def test_new_authority_renews_while_the_former_stays_trusted(site: Site, tmp_path: Path) -> None:
    site.certify()
    former = (site.authority / "ca.pem").read_text()
    site.authority = tmp_path / "second"
    site.run(state="authority")
    bundle = (site.authority / "ca.pem").read_text() + former
    (site.authority / "ca.pem").write_text(bundle)
    assert site.certify()["certificates"][0]["reason"] == "it is of another authority"
    assert site.read("ca.pem") == bundle
    assert not site.certify()["changed"]


def test_second_trusted_authority_changes_the_bundle_and_not_the_certificate(site: Site, tmp_path: Path) -> None:
    site.certify()
    content, first = site.read("cert.pem"), site.authority
    site.authority = tmp_path / "second"
    second = site.run(state="authority")["authority"]
    site.authority = first
    (first / "ca.pem").write_text((first / "ca.pem").read_text() + second)
    result = site.certify()
    assert result["changed"]
    assert len(site.sent) == 1
    assert site.read("cert.pem") == content
    assert site.read("ca.pem").endswith(second)


def test_lost_access_rights_are_restored_without_a_renewal(site: Site) -> None:
    site.certify()
    content = site.read("cert.pem")
    (site.host / "web" / "key.pem").chmod(0o644)
    assert site.certify()["changed"]
    assert site.read("cert.pem") == content
    assert stat.S_IMODE((site.host / "web" / "key.pem").stat().st_mode) & 0o007 == 0


def test_check_mode_predicts_on_a_pristine_site_with_unknown_owners(site: Site, tmp_path: Path) -> None:
    site.authority = tmp_path / "none"
    result = site.certify(wanted(owner="nobody-of-this-name"), check=True)
    assert result["changed"]
    assert "web.subject_alt_names: DNS:node1, IP:127.0.0.1" in result["diff"]["after"]
    assert not site.host.exists()
    assert site.run(state="authority", check=True)["changed"]
    assert not site.authority.exists()


def test_check_mode_after_a_run_predicts_nothing(site: Site) -> None:
    site.certify()
    result = site.certify(check=True)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_unknown_owner_is_an_error_before_anything_is_made(site: Site) -> None:
    with pytest.raises(AnsibleError, match=r"certificates\[web\]: user nobody-of-this-name"):
        site.certify(wanted(owner="nobody-of-this-name"))
    assert not site.host.exists()


def test_missing_authority_is_an_error_that_says_what_to_do(site: Site, tmp_path: Path) -> None:
    site.authority = tmp_path / "none"
    with pytest.raises(AnsibleError, match=r"ca\.pem does not exist: make the authority first"):
        site.certify()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../etc"}, r"certificates\[\.\./etc\]: a name has"),
        ({"subject_alt_names": ["node1"]}, r"certificates\[web\]\.subject_alt_names: 'node1' is neither"),
        ({"subject_alt_names": []}, r"certificates\[web\]\.subject_alt_names is empty"),
        ({"key_mode": "0644"}, r"certificates\[web\]\.key_mode is '0644'"),
    ],
)
def test_bad_option_is_an_error_that_names_it(site: Site, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        site.certify(wanted(**options))


def test_two_entries_of_one_name_and_endless_renewal_are_refused(site: Site) -> None:
    with pytest.raises(AnsibleError, match="two entries"):
        site.certify(wanted(), wanted())
    with pytest.raises(AnsibleError, match=r"renew_days \(30\) must be smaller than valid_days \(30\)"):
        site.certify(valid_days=30)


def test_names_in_the_hosts_request_are_ignored(site: Site) -> None:
    def forge(answer: dict[str, Any]) -> dict[str, Any]:
        pending = site.host / ".web.pending" / "key.pem"
        if "requests" in answer:
            key = serialization.load_pem_private_key(pending.read_bytes(), None)
            builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
            names = x509.SubjectAlternativeName([x509.DNSName("bank.example")])
            request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())  # type: ignore[arg-type]
            answer["requests"]["web"] = request.public_bytes(serialization.Encoding.PEM).decode()
        return answer

    site.tamper = forge
    site.certify()
    assert _pki.parse_first(site.read("cert.pem")).subject_alt_names == ("DNS:node1", "IP:127.0.0.1")


@pytest.mark.parametrize("request_text", ["rubbish", ""])
def test_damaged_request_is_refused_and_the_former_certificate_stays(site: Site, request_text: str) -> None:
    site.certify()
    before = site.read("cert.pem")
    site.tamper = lambda answer: answer | {"requests": {"web": request_text}}
    with pytest.raises(AnsibleError, match="signing request is damaged"):
        site.certify(force=True)
    assert site.read("cert.pem") == before


def test_certificate_of_another_key_is_not_installed(site: Site) -> None:
    site.certify()
    store = _certificate.Store(site.host)
    entry = _certificate.Wanted.from_options(wanted(common_name="", usages=["server"], key_type="ec256", key_mode=None))
    old, bundle = site.read("cert.pem"), site.read("ca.pem")
    store.request(entry)
    with pytest.raises(_pki.PkiError, match="does not belong to the key on the host"):
        store.install(entry, old, bundle)
    assert site.read("cert.pem") == old


def test_certificate_of_an_unknown_authority_is_not_installed(site: Site, tmp_path: Path) -> None:
    trusted = (site.authority / "ca.pem").read_text()
    site.authority = tmp_path / "foreign"
    site.run(state="authority")
    entry = _certificate.Wanted.from_options(wanted(common_name="", usages=["server"], key_type="ec256", key_mode=None))
    store = _certificate.Store(site.host)
    signed = Authority(site.authority, PASSPHRASE).sign(store.request(entry), entry, 90, 30)
    with pytest.raises(_pki.PkiError, match="openssl verify failed"):
        store.install(entry, signed, trusted)
    assert not (site.host / "web").exists()


def test_authority_near_its_end_refuses_to_sign(site: Site, tmp_path: Path) -> None:
    site.authority = tmp_path / "old"
    site.run(
        authority={"directory": str(site.authority), "passphrase": PASSPHRASE, "valid_days": 20}, state="authority"
    )
    with pytest.raises(AnsibleError, match=r"ends on .* too soon to sign with it"):
        site.certify()
