"""PyYAML, if it is installed. No other module imports it."""

from __future__ import annotations

from typing import Any, Final

from ..errors import MissingExtraError

try:
    import yaml
except ImportError as exc:
    raise MissingExtraError(
        f"calibration files need PyYAML, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[bridge]'` (in a clone: `pip install '.[bridge]'`)"
    ) from exc

YamlError: Final = yaml.YAMLError


def read_yaml(text: str) -> Any:
    """Return the content of a YAML document: dicts, lists, strings and numbers.

    Raises:
        YamlError: The text is not YAML, or needs Python objects.
    """
    return yaml.safe_load(text)
