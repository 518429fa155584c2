"""The contract of every role: defaults are exactly the optional options, names carry its prefix, all is described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/tasks/main.yml"))
# A site that has a local model server gives the model itself.
SUPPLIED_BY_THE_SITE = {"model_sha256"}
SITE_VARIABLES = ROOT / "roles/preflight/meta/site_variables.yml"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def options_of(role: Path) -> dict[str, Any]:
    """Options of all entry points of a role."""
    specs = (load(role / "meta/argument_specs.yml") or {}).get("argument_specs", {})
    return {name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()}


def walk(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every option and suboption with its path."""
    for name, option in options.items():
        yield f"{path}{name}", option
        yield from walk(option.get("options") or {}, f"{path}{name}.")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_has_a_contract_and_a_short_readme(role: Path) -> None:
    assert (role / "meta/argument_specs.yml").exists()
    assert (role / "meta/main.yml").exists()
    assert (role / "README.md").exists()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_exactly_the_optional_options(role: Path) -> None:
    optional = {name: option for name, option in options_of(role).items() if not option.get("required")}
    defaults = load(role / "defaults/main.yml") or {}
    assert set(defaults) == set(optional)
    for name, value in defaults.items():
        if "default" in optional[name]:
            assert value == optional[name]["default"], f"{name}: defaults/main.yml and argument_specs.yml differ"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_public_variables_carry_the_roles_name(role: Path) -> None:
    for name in options_of(role):
        assert name.startswith(f"{role.name}_"), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_has_a_type_and_a_description(role: Path) -> None:
    for path, option in walk(options_of(role)):
        assert option.get("type"), path
        assert option.get("description"), path
        if option["type"] == "list":
            assert option.get("elements"), path


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_passwords_and_keys_are_never_logged(role: Path) -> None:
    for path, option in walk(options_of(role)):
        if path.endswith(("password", "passphrase", "token_secret", "api_key", "encryption_key")):
            assert option.get("no_log") is True, path


def passed(node: Any) -> Iterator[str]:
    """Names of the variables that playbooks pass to roles."""
    if isinstance(node, list):
        for item in node:
            yield from passed(item)
    elif isinstance(node, dict):
        if "role" in node or "ansible.builtin.import_role" in node:
            yield from node.get("vars") or {}
        for value in node.values():
            yield from passed(value)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_playbooks_pass_what_a_role_requires_and_nothing_that_it_does_not_know(role: Path) -> None:
    names = {name for path in ROOT.glob("playbooks/*.yml") for name in passed(load(path))}
    options = options_of(role)
    required = {name for name, option in options.items() if option.get("required")} - SUPPLIED_BY_THE_SITE
    assert required <= names
    assert {name for name in names if name.startswith(f"{role.name}_")} <= set(options)


def test_every_site_variable_is_described_and_belongs_to_the_site() -> None:
    variables = load(SITE_VARIABLES)["site_variables"]
    for path, option in walk(variables):
        assert option.get("type"), path
        assert option.get("description"), path
    assert all(name.startswith("aigo_") for name in variables)


def test_every_site_variable_that_the_playbooks_read_is_specified() -> None:
    variables = set(load(SITE_VARIABLES)["site_variables"])
    texts = [path.read_text() for path in (ROOT / "playbooks").rglob("*.yml")]
    words = {word for text in texts for word in text.replace("(", " ").replace(")", " ").split()}
    read = {word for word in words if word.startswith("aigo_") and word.isidentifier()}
    assert read <= variables, f"not in {SITE_VARIABLES.name}: {sorted(read - variables)}"
