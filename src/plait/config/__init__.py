"""The settings: servers.toml, or a client's own file, as models. Nothing else reads settings from
files and the environment."""

from .models import (
    Config,
    GatewaySettings,
    HistorySettings,
    LimitSettings,
    ServerSettings,
    ToolSettings,
)
from .policy import PolicySettings
from .read import load_config
from .trust import Untrusted

__all__ = [
    "Config",
    "GatewaySettings",
    "HistorySettings",
    "LimitSettings",
    "PolicySettings",
    "ServerSettings",
    "ToolSettings",
    "Untrusted",
    "load_config",
]
