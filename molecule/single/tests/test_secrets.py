"""Secrets appear neither in process lists, nor in files that anybody reads, nor in the journal, nor in a run's log."""

from __future__ import annotations

import shlex


def leaked(text: str, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets whose value stands in a text."""
    return [name for name, value in secrets.items() if value in text]


def test_the_scan_finds_a_secret_that_is_there(secrets):
    assert leaked(f"x{secrets['app_token_secret']}x", secrets) == ["app_token_secret"]


def test_no_secret_is_in_a_process_list_or_an_environment_that_others_read(inside, secrets):
    assert leaked(inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), secrets) == []
    assert leaked(inside("systemctl show '*' --property=Environment,ExecStart"), secrets) == []


def test_no_secret_is_in_a_file_that_everybody_reads(inside, secrets):
    patterns = "\n".join(secrets.values())
    places = "/etc /opt/aigo /var/lib /var/log /home /root /srv /usr/local"
    found = inside(
        f"umask 077; printf %s {shlex.quote(patterns)} > /run/patterns; find {places} -xdev -type f -perm -o=r -print0"
        " | xargs -0 -r grep -lF -f /run/patterns || true; rm /run/patterns"
    )
    # A world-readable file below a directory that others may not enter is not readable by them.
    open_files = [
        file
        for file in found.split()
        if inside(f"setpriv --reuid=nobody --regid=nogroup --clear-groups cat {shlex.quote(file)} 2>/dev/null || true")
    ]
    assert open_files == []


def test_no_secret_is_in_the_journal(inside, secrets):
    assert leaked(inside("journalctl --output=cat --no-pager"), secrets) == []


def test_no_secret_is_in_what_ansible_says_even_at_vvv(playbook, secrets, logs):
    done = playbook("site", "-vvv", "--diff", "--check")
    assert done.returncode == 0, done.stdout[-3000:]
    written = logs()
    assert written, "no log was written"
    assert leaked(done.stdout + done.stderr + written, secrets) == []
