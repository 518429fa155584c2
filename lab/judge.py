"""Let outside tools judge a lab host, and print one table.

    lab/judge.py --deploy [--datastream FILE]     a lab of its own, deployed as inventories/single says, then judged
    lab/judge.py --name NAME                      a lab that stands (lab.py up --image judged)

Lynis, ssh-audit, nmap and `systemd-analyze security` are Debian's. With the SCAP data stream of a benchmark for Debian
13, which Debian does not carry and which has to be built elsewhere, OpenSCAP judges CIS and ANSSI as well. They are put
on the host that they judge and on a stranger beside it: never judge a host that somebody uses.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import engine
import lab

OUR_UNITS, SERVERS = re.compile(r"^aigo-"), re.compile(r"^(nginx|patroni|etcd|redis-server|prometheus-.*|fail2ban)\.")
PROFILES = {"cis_level1_server": 96.0, "cis_level2_server": 94.0, "anssi_bp28_enhanced": 0.0}


@dataclass(frozen=True)
class Verdict:
    """One line of the table. C(good) None: told, not judged."""

    judge: str
    figure: str
    wanted: str
    good: bool | None
    details: tuple[str, ...] = ()


def deploy(name: str) -> None:
    """Bring the single tier up on a host that judges take for a virtual machine."""
    inventory = lab.up(name, "single", lab.layout_hosts("single"), "judged")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/site.yml", "-i", str(inventory)]
    subprocess.run(command, cwd=lab.ROOT, check=True)


def inside(container: str, command: str, check: bool = True) -> str:
    """Run a shell command in a container as root."""
    return lab.docker("exec", container, "sh", "-c", command, check=check)


def install(container: str, *packages: str) -> None:
    inside(
        container,
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive "
        f"apt-get -qq -y --no-install-recommends install {' '.join(packages)} > /dev/null",
    )


def stranger(name: str) -> str:
    """A host in the lab's network that the site knows nothing of."""
    container = lab.container(name, "stranger")
    if container not in lab.docker("ps", "--format", "{{.Names}}").splitlines():
        lab.docker(
            *("run", "--detach", f"--name={container}", f"--network=aigo-{name}", f"--label=aigo-lab={name}"),
            *("--entrypoint=sleep", engine.ensure_image("host"), "infinity"),
        )
    install(container, "nmap", "ssh-audit")
    return container


def lynis(container: str) -> Verdict:
    install(container, "lynis")
    inside(container, "lynis audit system --quick --no-colors > /dev/null 2>&1", check=False)
    report = inside(container, "cat /var/log/lynis-report.dat")
    index = int(re.findall(r"^hardening_index=(\d+)", report, re.MULTILINE)[0])
    told = re.findall(r"^(?:suggestion|warning)\[\]=([^|]+)\|([^|]+)", report, re.MULTILINE)
    return Verdict("Lynis hardening index", str(index), ">= 90", index >= 90, tuple(f"{a} {b}" for a, b in told))


def notes(value: Any, level: str) -> Iterator[str]:
    """All notes of one level in ssh-audit's answer."""
    if isinstance(value, dict):
        for note in (value.get("notes") or {}).get(level, []):
            yield f"{value.get('algorithm')}: {note}"
        for item in value.values():
            yield from notes(item, level)
    elif isinstance(value, list):
        for item in value:
            yield from notes(item, level)


def ssh_audit(judge: str, address: str, port: int) -> Verdict:
    answer = json.loads(inside(judge, f"ssh-audit --json --skip-rate-test {address}:{port}", check=False))
    failures, warnings = list(notes(answer, "fail")), list(notes(answer, "warn"))
    figure = f"{len(failures)} / {len(warnings)}"
    return Verdict("ssh-audit failures / warnings", figure, "0 / 0", not failures + warnings, (*failures, *warnings))


def open_ports(judge: str, address: str, options: str) -> list[int]:
    text = inside(judge, f"nmap -n -Pn --open {options} -oG - {address}")
    return sorted(int(port) for port in re.findall(r"(\d+)/open/", text))


def nmap(judge: str, address: str, expected: list[int]) -> Iterator[Verdict]:
    tcp = open_ports(judge, address, "-sS -p- --min-rate 3000")
    wanted = ",".join(map(str, expected))
    yield Verdict("nmap, all TCP ports, from a stranger", ",".join(map(str, tcp)) or "none", wanted, tcp == expected)
    udp = open_ports(judge, address, "-sU --top-ports 50 --max-retries 1 --min-rate 500")
    yield Verdict("nmap, usual UDP ports, from a stranger", ",".join(map(str, udp)) or "none", "none", not udp)


def exposure(container: str) -> Iterator[Verdict]:
    units = json.loads(inside(container, "systemd-analyze security --no-pager --json=short"))
    for label, pattern, limit in (("our units", OUR_UNITS, 1.5), ("servers", SERVERS, 3.0)):
        found = sorted(((float(u["exposure"]), u["unit"]) for u in units if pattern.match(u["unit"])), reverse=True)
        if found:
            details = tuple(f"{value} {unit}" for value, unit in found if value > limit)
            figure = f"{found[0][0]} ({found[0][1]})"
            yield Verdict(f"systemd-analyze security, worst of {label}", figure, f"<= {limit}", not details, details)


def openscap(container: str, datastream: Path) -> Iterator[Verdict]:
    install(container, "openscap-scanner", "openscap-common")
    lab.docker("cp", str(datastream), f"{container}:/root/datastream.xml")
    for profile, wanted in PROFILES.items():
        name = f"xccdf_org.ssgproject.content_profile_{profile}"
        text = inside(container, f"oscap xccdf eval --profile {name} /root/datastream.xml 2> /dev/null", check=False)
        results = re.findall(r"^Rule\s+\S*content_rule_(\S+)$.*?^Result\s+(\w+)$", text, re.MULTILINE | re.DOTALL)
        passed = [rule for rule, result in results if result == "pass"]
        failed = [rule for rule, result in results if result == "fail"]
        if not passed:
            raise lab.LabError(f"the data stream has no profile {profile}: {datastream}")
        score = 100 * len(passed) / (len(passed) + len(failed))
        figure = f"{score:.1f} % ({len(passed)} of {len(passed) + len(failed)})"
        target = f">= {wanted:.0f} %" if wanted else "told"
        yield Verdict(f"OpenSCAP {profile}", figure, target, score >= wanted if wanted else None, tuple(failed))


def judge(name: str, host: str, expected: list[int], datastream: Path | None) -> Iterator[Verdict]:
    """All judges, in the order in which they do not disturb each other: sshd penalises who scans it."""
    variables = yaml.safe_load((lab.LABS / name / "inventory" / "lab.yml").read_text())["all"]["hosts"][host]
    container, other = lab.container(name, host), stranger(name)
    # The first database of AIDE is made when a host has settled; a judge should not have to wait for that.
    inside(container, "systemctl start aigo-aide-init.service aigo-permissions.service", check=False)
    yield ssh_audit(other, variables["ansible_host"], int(variables.get("ansible_port", 22)))
    yield from nmap(other, variables["ansible_host"], expected)
    yield from exposure(container)
    yield lynis(container)
    if datastream:
        yield from openscap(container, datastream)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="judged", help="the lab")
    parser.add_argument("--host", default="aigo1")
    parser.add_argument("--deploy", action="store_true", help="make the lab and deploy the single tier first")
    parser.add_argument("--expect", default="22,80,443", help="TCP ports that a stranger may find open")
    parser.add_argument("--datastream", type=Path, help="SCAP data stream for Debian 13 with CIS and ANSSI profiles")
    parser.add_argument("--details", action="store_true", help="name what was found beside the figures")
    options = parser.parse_args()
    expected = sorted(int(port) for port in options.expect.split(","))
    good = True
    try:
        if options.deploy:
            deploy(options.name)
        for verdict in judge(options.name, options.host, expected, options.datastream):
            mark = {True: "good", False: "MISSED", None: ""}[verdict.good]
            print(f"{verdict.judge:46} {verdict.figure:34} {verdict.wanted:12} {mark}", flush=True)
            for detail in verdict.details if options.details or verdict.good is False else ():
                print(f"    {detail}")
            good = good and verdict.good is not False
    except (lab.LabError, engine.EngineError, subprocess.SubprocessError) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
