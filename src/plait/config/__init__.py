"""The settings: servers.toml, or a client's own file, as models. Nothing else reads settings from
files and the environment."""

from .models import (
    Config,
    GatewaySettings,
    LimitSettings,
    PolicySettings,
    ServerSettings,
    ToolSettings,
)
from .read import load_config

__all__ = [
    "Config",
    "GatewaySettings",
    "LimitSettings",
    "PolicySettings",
    "ServerSettings",
    "ToolSettings",
    "load_config",
]
