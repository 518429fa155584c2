"""Run a command with a real PostgreSQL, a real Redis and a real LDAP directory for the time that it takes.

    lab/services.py .venv-app/bin/pytest app/tests

The servers run in a lab host of their own (Debian's PostgreSQL 17 with pgvector, Redis 8, OpenLDAP). The command finds
them in AIGO_TEST_DATABASE_URL, AIGO_TEST_REDIS_URL and AIGO_TEST_LDAP_URL (with the manager's name and password),
and the authority of the directory's certificate in the file AIGO_TEST_LDAP_CA. The OpenID Connect provider of
lab/oidc is for the tests to start: AIGO_TEST_OIDC_MODULES is where its modules are installed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

import engine
import lab

HOST = "services"
OIDC = Path(__file__).resolve().parent / "oidc"
# An empty directory, in the form of slapd.conf; its certificate is its own authority.
SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile /etc/ldap/lab.pem
TLSCertificateKeyFile /etc/ldap/lab.key
database mdb
directory /var/lib/ldap-lab
suffix "dc=aigo,dc=test"
rootdn "cn=manager,dc=aigo,dc=test"
rootpw {password}
"""


def oidc_modules() -> str:
    """Install the provider's locked modules, once for each lock; return where they are."""
    recipe = b"".join((OIDC / file).read_bytes() for file in ("package.json", "package-lock.json"))
    folder = lab.ROOT / ".lab" / f"oidc-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        if not (shutil.which("node") and shutil.which("npm")):
            engine.install("nodejs", "npm")
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(OIDC / file, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise lab.LabError(f"npm ci for lab/oidc failed: {done.stderr.strip()[-500:]}")
        (folder / "complete").touch()
    return str(folder / "node_modules")


def start(name: str) -> dict[str, str]:
    """Boot the servers, let this machine in by a password made for the occasion; return the environment."""
    inventory = lab.up(name, None, [HOST], "services")
    address = yaml.safe_load((inventory / "lab.yml").read_text())["all"]["hosts"][HOST]["ansible_host"]
    container = lab.container(name, HOST)
    password = secrets.token_hex(16)

    def inside(command: str, stdin: str) -> None:
        lab.docker("exec", "-i", container, "sh", "-c", command, stdin=stdin)

    hba = "host all all samenet scram-sha-256"
    inside(f"echo '{hba}' >> /etc/postgresql/17/main/pg_hba.conf", "")
    as_postgres = "setpriv --reuid=postgres --regid=postgres --init-groups psql -qX"
    inside(
        as_postgres, f"CREATE ROLE test SUPERUSER LOGIN PASSWORD '{password}'; ALTER SYSTEM SET listen_addresses = '*';"
    )
    inside("systemctl restart postgresql@17-main", "")
    inside("redis-cli", f'CONFIG SET requirepass {password}\nAUTH {password}\nCONFIG SET bind "*"\n')
    certificate = (
        "umask 077; mkdir -p /var/lib/ldap-lab; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        " -nodes -days 2 -subj /CN=directory -keyout /etc/ldap/lab.key -out /etc/ldap/lab.pem"
        f" -addext subjectAltName=IP:{address}"
    )
    inside(f"{certificate} 2>&1", "")
    inside("umask 077; cat > /etc/ldap/lab.conf", SLAPD.format(password=password))
    inside("slapd -f /etc/ldap/lab.conf -h 'ldap:/// ldaps:///'", "")
    authority = inventory / "directory.pem"
    authority.write_text(lab.docker("exec", container, "cat", "/etc/ldap/lab.pem"))
    return {
        "AIGO_TEST_LDAP_URL": f"ldap://cn=manager,dc=aigo,dc=test:{password}@{address}:389",
        "AIGO_TEST_OIDC_MODULES": oidc_modules(),
        "AIGO_TEST_LDAP_CA": str(authority),
        "AIGO_TEST_DATABASE_URL": f"postgresql://test:{password}@{address}:5432/postgres",
        "AIGO_TEST_REDIS_URL": f"redis://:{password}@{address}:6379",
    }


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    name = f"services-{os.getpid()}"
    try:
        environment = start(name)
        began = time.monotonic()
        code = subprocess.run(sys.argv[1:], cwd=lab.ROOT, env={**os.environ, **environment}, check=False).returncode
        print(f"services: the command took {time.monotonic() - began:.0f} s")
        return code
    except (lab.LabError, engine.EngineError) as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    finally:
        lab.down(name)


if __name__ == "__main__":
    sys.exit(main())
