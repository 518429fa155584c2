"""Build and remove labs: Docker containers that boot real systemd and are reached by SSH like any server.

    lab.py up    --name demo --layout single     hosts and groups of inventories/single (--model: with a local model)
    lab.py up    --name x --hosts a,b            plain hosts
    lab.py down  --name demo
    lab.py list

A lab is a Docker network, one container a host, and `.lab/<name>/inventory`, which ansible-playbook takes as it is.
Several labs stand side by side: names, networks and published ports differ.
"""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

import engine
import tiny_gguf

ROOT = Path(__file__).resolve().parent.parent
LABS = ROOT / ".lab"
SUBNETS = ipaddress.ip_network("10.213.0.0/16")
FIRST_PORT = 8443
VIRTUAL = 200  # the host part of a lab's virtual address
DOMAIN = "aigo.localhost"  # browsers and curl resolve *.localhost to this machine by themselves

# What systemd needs to run as it does on a machine. --privileged is not among it: the hosts hold no more than this.
RUN_OPTIONS = [
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--cgroupns=private",
    "--tmpfs=/run",
    "--tmpfs=/tmp:exec",
    "--env=SYSTEMD_PROC_CMDLINE=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
]


class LabError(Exception):
    """Something that the person at the keyboard can mend; the message says how."""


def docker(*args: str, check: bool = True, stdin: str | None = None) -> str:
    """Run the Docker client and return what it printed."""
    done = subprocess.run(["docker", *args], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LabError(f"docker {' '.join(args[:2])} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def container(lab: str, host: str) -> str:
    return f"aigo-{lab}-{host}"


def layout_hosts(layout: str) -> list[str]:
    """Return the host names of inventories/<layout>, in the order of the file."""
    source = ROOT / "inventories" / layout / "hosts.yml"
    if not source.exists():
        known = ", ".join(sorted(path.parent.name for path in ROOT.glob("inventories/*/hosts.yml")))
        raise LabError(f"--layout {layout}: there is no {source.relative_to(ROOT)}; choose one of: {known}")
    names: dict[str, None] = {}

    def walk(group: dict[str, Any] | None) -> None:
        for name in (group or {}).get("hosts") or {}:
            names[name] = None
        for child in ((group or {}).get("children") or {}).values():
            walk(child)

    for group in yaml.safe_load(source.read_text()).values():
        walk(group)
    return list(names)


def make_network(lab: str) -> ipaddress.IPv4Network:
    """Create the lab's network on the first /24 that neither Docker nor this machine uses."""
    name = f"aigo-{lab}"
    if found := docker("network", "ls", "--quiet", "--filter", f"name=^{name}$"):
        config = json.loads(docker("network", "inspect", found))[0]["IPAM"]["Config"][0]
        return ipaddress.IPv4Network(config["Subnet"])
    for subnet in SUBNETS.subnets(new_prefix=24):
        # Docker refuses a subnet that overlaps another network; two labs made at once settle it the same way.
        done = subprocess.run(
            ["docker", "network", "create", "--subnet", str(subnet), name], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return subnet  # type: ignore[return-value]
        if "overlap" not in done.stderr.lower():
            raise LabError(f"docker network create failed: {done.stderr.strip()}")
    raise LabError(f"no free network is left in {SUBNETS}: remove a lab (lab.py list, lab.py down)")


def free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + 500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise LabError(f"no free port between {FIRST_PORT} and {FIRST_PORT + 500}")


def boot(lab: str, host: str, address: str, key: str, publish: int | None, image: str) -> str:
    """Start one pristine host and return its line for known_hosts."""
    name = container(lab, host)
    ports = [f"--publish=127.0.0.1:{publish}:443"] if publish else []
    docker(
        "run", "--detach", f"--name={name}", f"--hostname={host}", f"--network=aigo-{lab}", f"--ip={address}",
        f"--label=aigo-lab={lab}", *RUN_OPTIONS, *ports, image,
    )  # fmt: skip
    docker("exec", name, "ssh-keygen", "-A")
    docker("exec", "-i", name, "sh", "-c", "umask 077; cat > /home/admin/.ssh/authorized_keys", stdin=key)
    docker("exec", name, "chown", "admin:admin", "/home/admin/.ssh/authorized_keys")
    for _unused in range(100):
        state = docker("exec", name, "systemctl", "is-system-running", check=False)
        if state in ("running", "degraded"):
            break
        time.sleep(0.1)
    else:
        raise LabError(f"{host} did not boot (state: {state or 'no answer'}); see: docker logs {name}")
    docker("exec", name, "systemctl", "reset-failed", "ssh", check=False)  # it began without host keys
    docker("exec", name, "systemctl", "restart", "ssh")
    return f"{address} {docker('exec', name, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub')}\n"


def write_inventory(lab: str, layout: str | None, addresses: dict[str, str], port: int, model: bool) -> Path:
    """Write `.lab/<lab>/inventory`: the layout's own files, and beside them what is the lab's own."""
    home = LABS / lab
    inventory = home / "inventory"
    if layout:
        shutil.copytree(ROOT / "inventories" / layout, inventory, dirs_exist_ok=True, ignore=lambda *_: [".state"])
    inventory.mkdir(exist_ok=True)
    known_hosts = home / "known_hosts"
    variables: dict[str, Any] = {
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(home / "id_ed25519"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts} -o IdentitiesOnly=yes",
    }
    if layout:
        variables |= {"aigo_domain": DOMAIN, "aigo_public_url": f"https://{DOMAIN}:{port}"}
    if layout and layout != "single":
        # All hosts share one machine, and the layout's virtual address belongs to documentation.
        network = ipaddress.ip_network(f"{next(iter(addresses.values()))}/24", strict=False)
        variables |= {"aigo_allow_undersized": True, "aigo_virtual_address": str(network[VIRTUAL])}
    hosts = {host: {"ansible_host": address, **variables} for host, address in addresses.items()}
    content: dict[str, Any] = {"hosts": hosts}
    if model:
        file, data = home / "tiny.gguf", tiny_gguf.build()
        file.write_bytes(data)
        settings = {"model_file": str(file), "model_sha256": hashlib.sha256(data).hexdigest()}
        content["children"] = {"model": {"hosts": {next(iter(addresses)): settings}}}
    text = yaml.safe_dump({"all": content}, sort_keys=False)
    (inventory / "lab.yml").write_text(f"---\n# How the lab's hosts are reached, and what is special here.\n{text}")
    return inventory


def up(lab: str, layout: str | None, hosts: list[str], target: str = "host", model: bool = False) -> Path:
    """Bring a lab up; hosts that run already are left as they are. Returns the inventory's path."""
    engine.ensure_running()
    image = engine.ensure_image(target)
    home = LABS / lab
    home.mkdir(parents=True, exist_ok=True)
    key = home / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)], check=True)
    subnet = make_network(lab)
    addresses = {host: str(subnet[10 + index]) for index, host in enumerate(hosts)}
    running = docker("ps", "--all", "--filter", f"label=aigo-lab={lab}", "--format", "{{.Names}}").splitlines()
    port_file = home / "https_port"
    port = int(port_file.read_text()) if port_file.exists() else free_port()
    port_file.write_text(f"{port}\n")
    with (home / "known_hosts").open("a") as known_hosts:
        for index, (host, address) in enumerate(addresses.items()):
            if container(lab, host) in running:
                docker("start", container(lab, host))
                continue
            publish = port if index == 0 else None
            known_hosts.write(boot(lab, host, address, key.with_suffix(".pub").read_text(), publish, image))
            print(f"lab {lab}: {host} is up at {address}", flush=True)
    return write_inventory(lab, layout, addresses, port, model)


def down(lab: str) -> None:
    """Remove a lab and all that it left."""
    names = docker("ps", "--all", "--quiet", "--filter", f"label=aigo-lab={lab}").split()
    if names:
        docker("rm", "--force", "--volumes", *names)
    docker("network", "rm", f"aigo-{lab}", check=False)
    shutil.rmtree(LABS / lab, ignore_errors=True)
    print(f"lab {lab}: removed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb_up = verbs.add_parser("up", help="start a lab")
    verb_up.add_argument("--name", default="demo")
    what = verb_up.add_mutually_exclusive_group()
    what.add_argument("--layout", help="hosts and groups of inventories/<layout>")
    what.add_argument("--hosts", help="comma-separated host names")
    verb_up.add_argument("--model", action="store_true", help="add a local model server with a tiny model")
    verb_up.add_argument("--image", choices=["host", "services", "judged"], default="host")
    verb_down = verbs.add_parser("down", help="remove a lab")
    verb_down.add_argument("--name", default="demo")
    verbs.add_parser("list", help="show the labs")
    options = parser.parse_args()
    try:
        if options.verb == "up":
            hosts = layout_hosts(options.layout) if options.layout else (options.hosts or "host1").split(",")
            inventory = up(options.name, options.layout, hosts, options.image, options.model)
            print(f"lab {options.name}: inventory {inventory.relative_to(ROOT)}")
        elif options.verb == "down":
            down(options.name)
        else:
            columns = 'table {{.Label "aigo-lab"}}\t{{.Names}}\t{{.Status}}\t{{.Ports}}'
            print(docker("ps", "--all", "--filter", "label=aigo-lab", "--format", columns))
    except (LabError, engine.EngineError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
