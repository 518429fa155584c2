"""Layered configuration: a base file, an environment's overrides, one file for each secret."""

from aigo.config.load import ConfigError, load_settings, masked, unusable
from aigo.config.schema import Settings

__all__ = ["ConfigError", "Settings", "load_settings", "masked", "unusable"]
