"""WHAT IS RECORDED OF A CONFIGURATION: what is known to be harmless."""

from flwr_registry.masking.secret_names import is_secret_name
from flwr_registry.masking.secret_texts import masked_text, masked_url
from flwr_registry.masking.settings import (
    MASK,
    RecordConfig,
    masked_settings,
    recorded_settings,
)

__all__ = [
    "MASK",
    "RecordConfig",
    "is_secret_name",
    "masked_settings",
    "masked_text",
    "masked_url",
    "recorded_settings",
]
