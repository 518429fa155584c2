"""Deploy the single tier on a lab host, chat with it, and say how to go on.

Every phase says what it does and how long it took. Run again, it converges the same host.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

import engine
import lab

Result = TypeVar("Result")
BIN = Path(sys.executable).parent.relative_to(lab.ROOT)

RESULT = """
The platform is up and has answered. It stays until: make demo-down{option}

  in a browser    https://{domain}:{port}   sign in as admin; it warns unless you trust {state}/ca/ca.pem
  admin's password, app_admin_password in
                  {bin}/ansible-vault view --vault-password-file {state}/vault_password {state}/secrets.yml
  by curl         curl --cacert {state}/ca/ca.pem https://{domain}:{port}/health
  on the host     ssh -i .lab/{name}/id_ed25519 -o UserKnownHostsFile=.lab/{name}/known_hosts admin@{address}
  full output     .aigo/log/

Try next

  make demo{option}                       the second run changes nothing and restarts nothing
  docker restart {container}    everything comes back by itself
  {bin}/ansible-playbook playbooks/verify.yml -i {inventory}
  {bin}/ansible-playbook playbooks/site.yml -i {inventory} --check --diff -e redis_settings='{{"maxclients": 500}}'
"""


def playbook(name: str, inventory: Path) -> None:
    """Run one of the collection's playbooks; its own output says what it does."""
    command: list[str | Path] = [BIN / "ansible-playbook", f"playbooks/{name}.yml", "-i", inventory]
    done = subprocess.run(command, cwd=lab.ROOT, env={**os.environ, "ANSIBLE_CONFIG": "ansible.cfg"}, check=False)
    if done.returncode:
        raise lab.LabError(f"playbooks/{name}.yml failed: see above, and .aigo/log/ for all of it")


def prepare() -> None:
    engine.ensure_running()
    engine.ensure_image("host")


class Phases:
    """Runs the phases and remembers how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, title: str, action: Callable[[], Result]) -> Result:
        print(f"\n== {title}", flush=True)
        start = time.monotonic()
        result = action()
        self.seconds[title] = time.monotonic() - start
        return result

    def table(self) -> str:
        lines = [f"  {title:<44}{seconds:7.1f} s" for title, seconds in self.seconds.items()]
        return "\n".join([*lines, f"  {'in all':<44}{sum(self.seconds.values()):7.1f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="demo", help="the lab's name: labs of other names stand beside it")
    name = parser.parse_args().name
    phases = Phases()
    try:
        phases.run("Docker engine and the image of the lab", prepare)
        hosts = lab.layout_hosts("single")
        inventory = phases.run("boot a pristine Debian 13 host", lambda: lab.up(name, "single", hosts, model=True))
        inventory = inventory.relative_to(lab.ROOT)
        phases.run("deploy (playbooks/site.yml) and verify", lambda: playbook("site", inventory))
    except (lab.LabError, engine.EngineError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    host = yaml.safe_load((lab.ROOT / inventory / "lab.yml").read_text())["all"]["hosts"][hosts[0]]
    print(f"\nHow long it took\n\n{phases.table()}")
    print(
        RESULT.format(
            name=name,
            option="" if name == "demo" else f" NAME={name}",
            inventory=inventory,
            state=inventory / ".state",
            bin=BIN,
            domain=lab.DOMAIN,
            port=host["aigo_public_url"].rsplit(":", 1)[1],
            address=host["ansible_host"],
            container=lab.container(name, hosts[0]),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
