"""The Docker engine and the lab's image: found where they are, made where they are missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE = "debian:trixie-slim"
OWN_BASE = "aigo-lab-base:trixie"
ENGINE_LOG = Path("/var/log/aigo-lab-dockerd.log")
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-apt,sudo,iproute2,ca-certificates,openssh-server,procps"


class EngineError(Exception):
    """The engine or the image can't be had; the message says what to do."""


def quiet(*args: str) -> bool:
    """Run a command, throw away what it prints, tell whether it succeeded."""
    return subprocess.run(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def install(*packages: str) -> None:
    """Install Debian packages on this machine, which takes root on Debian or Ubuntu."""
    if os.geteuid() or not shutil.which("apt-get"):
        raise EngineError(f"{', '.join(packages)} missing here: install it, or run as root on Debian to have it done")
    print(f"lab: installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "-y", "install", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def ensure_running() -> None:
    """Leave a Docker engine that answers; start or install one if need be."""
    if quiet("docker", "info"):
        return
    if not shutil.which("dockerd"):
        if shutil.which("docker") and os.geteuid():
            raise EngineError("no Docker engine answers: start it, and join the group that may use it (docker)")
        install("docker.io", "iptables")
    print("lab: starting the Docker engine", flush=True)
    if Path("/run/systemd/system").exists():
        quiet("systemctl", "start", "docker")
    elif os.geteuid():
        raise EngineError("no Docker engine answers, and only root can start dockerd here")
    else:
        with ENGINE_LOG.open("ab") as log:
            subprocess.Popen(["dockerd", "--log-level=warn"], stdout=log, stderr=log, start_new_session=True)
    for _unused in range(120):
        if quiet("docker", "info"):
            return
        time.sleep(0.25)
    raise EngineError(f"the Docker engine does not answer after 30 s; see {ENGINE_LOG} or: journalctl -u docker")


def base_image() -> str:
    """Return a Debian 13 base: the registry's image where one answers, one from Debian's mirror where none does."""
    for image in (BASE, OWN_BASE):
        if quiet("docker", "image", "inspect", image):
            return image
    if quiet("timeout", "60", "docker", "pull", "--quiet", BASE):
        return BASE
    if not shutil.which("mmdebstrap"):
        install("mmdebstrap")
    print("lab: no image registry answers; making a base image from Debian's mirror", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        tar = f"{scratch}/base.tar"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "trixie", tar]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"mmdebstrap failed: {done.stderr.strip()[-500:]}")
        subprocess.run(["docker", "import", tar, OWN_BASE], check=True, stdout=subprocess.DEVNULL)
    return OWN_BASE


def ensure_image(target: str) -> str:
    """Return the name of the lab's image for a build target; build it when its recipe is new."""
    own = HERE / f"{target}.Dockerfile"
    names = ["Dockerfile", "entrypoint.sh", *((own.name, f"{target}-entrypoint.sh") if own.exists() else ())]
    recipe = b"".join((HERE / name).read_bytes() for name in names)
    image = f"aigo-lab-{target}:{hashlib.sha256(recipe).hexdigest()[:12]}"
    if quiet("docker", "image", "inspect", image):
        return image
    base = ensure_image("host") if own.exists() else base_image()
    print(f"lab: building the image {image} from {base}", flush=True)
    what = ["--file", str(own)] if own.exists() else ["--target", target]
    build = ["docker", "build", "--quiet", *what, "--build-arg", f"BASE={base}", "--tag", image, str(HERE)]
    # The classic builder is in every engine; BuildKit is a plug-in that may be absent.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"docker build failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return image
