"""A camera's controls: brightness, exposure, focus …, under the names that `v4l2-ctl` uses."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import SettingError
from . import api
from .device import LIST_MAX, Device

_TYPES: Final = {
    api.INTEGER: "integer",
    api.BOOLEAN: "boolean",
    api.MENU: "menu",
    api.BUTTON: "button",
    api.BITMASK: "bitmask",
    api.INTEGER_MENU: "menu",
}
# Short names for controls whose names differ between kernel releases, by V4L2_CID_…; the first one there is meant.
# Source: include/uapi/linux/v4l2-controls.h.
_SHORT: Final = {
    "exposure": (0x9A0902, 0x980911),
    "focus": (0x9A090A,),
    "zoom": (0x9A090D,),
    "white_balance": (0x98091A,),
}
_WORDS: Final = {"on": 1, "true": 1, "yes": 1, "off": 0, "false": 0, "no": 0}
_MENU_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class CameraControl:
    """A control of a camera.

    Attributes:
        name: Its name as `v4l2-ctl` prints it: lower case, with underscores.
        type: "integer", "boolean", "menu", "button" or "bitmask".
        minimum: Smallest value.
        maximum: Largest value.
        step: Step between two values.
        default: Value after the camera was plugged in.
        value: Current value; None for a button, and if it cannot be read.
        menu: Texts by value; empty if it is not a menu.
        is_read_only: Whether the camera refuses every value.
        is_inactive: Whether another control, such as an automatic mode, currently decides instead.
        id: The driver's number of the control.
    """

    name: str
    type: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int | None
    menu: Mapping[int, str]
    is_read_only: bool
    is_inactive: bool
    id: int

    def values(self) -> str:
        """Describe the permitted values."""
        if self.type == "boolean":
            return "0 or 1"
        if self.type == "menu":
            return ", ".join(f"{number} ({text})" for number, text in self.menu.items())
        if self.type == "button":
            return "1, which presses it"
        step = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.minimum} to {self.maximum}{step}"


def controls(device: Device) -> list[CameraControl]:
    """List the controls that a value can be given to or read from, in the driver's order."""
    return [_control_of(device, query) for query in _queries(device)]


def set_controls(device: Device, values: Mapping[str, str]) -> None:
    """Set controls in the order given, so that an automatic mode can be switched off before its value is set.

    All names and values are checked before the first control is set. A control keeps its value after the device was
    closed.

    Args:
        device: The camera.
        values: For each control, its value: a number, an entry of its menu, or "on" and "off".

    Raises:
        SettingError: The camera does not have a control, or refuses a value.
    """
    known = controls(device)
    wanted = [(name, _find(device, known, name), text) for name, text in values.items()]
    checked = [(control, _number(device, control, text)) for _, control, text in wanted]
    for control, value in checked:
        _set(device, control, value)


def _queries(device: Device) -> Iterator[api.ControlQuery]:
    query = api.ControlQuery(id=api.CONTROL_NEXT)
    for _ in range(LIST_MAX):
        try:
            api.QUERY_CONTROL(device.fd, query)
        except OSError:
            return
        if query.type in _TYPES and not query.flags & api.CONTROL_DISABLED:
            yield query
        query = api.ControlQuery(id=query.id | api.CONTROL_NEXT)


def _control_of(device: Device, query: api.ControlQuery) -> CameraControl:
    value = None
    if query.type != api.BUTTON and not query.flags & api.CONTROL_WRITE_ONLY:
        current = api.Control(id=query.id)
        with contextlib.suppress(OSError):
            api.GET_CONTROL(device.fd, current)
            value = current.value & 0xFFFFFFFF if query.type == api.BITMASK else current.value
    return CameraControl(
        re.sub(r"[^a-z0-9]+", "_", query.name.decode("utf-8", "replace").lower()).strip("_"),
        _TYPES[query.type],
        query.minimum,
        query.maximum,
        query.step,
        query.default_value,
        value,
        _menu(device, query) if query.type in (api.MENU, api.INTEGER_MENU) else {},
        bool(query.flags & api.CONTROL_READ_ONLY),
        bool(query.flags & api.CONTROL_INACTIVE),
        query.id,
    )


def _menu(device: Device, query: api.ControlQuery) -> dict[int, str]:
    texts = {}
    for index in range(query.minimum, min(query.maximum, query.minimum + _MENU_MAX) + 1):
        item = api.MenuItem(id=query.id, index=index)
        with contextlib.suppress(OSError):
            # Drivers leave out entries that they do not support.
            api.QUERY_MENU(device.fd, item)
            is_text = query.type == api.MENU
            texts[index] = item.text.name.decode("utf-8", "replace") if is_text else str(item.text.value)
    return texts


def _find(device: Device, known: list[CameraControl], name: str) -> CameraControl:
    folded = name.strip().lower().replace("-", "_")
    by_name = {control.name: control for control in known}
    if folded in by_name:
        return by_name[folded]
    for number in _SHORT.get(folded, ()):
        for control in known:
            if control.id == number:
                return control
    if not known:
        raise SettingError(f"the camera {device.path} has no controls, so {name!r} cannot be set")
    near = difflib.get_close_matches(folded, by_name, n=3, cutoff=0.4) or list(by_name)
    raise SettingError(f"the camera {device.path} has no control {name!r}; did you mean {' or '.join(near[:3])}?")


def _number(device: Device, control: CameraControl, text: str) -> int:
    what = f"{control.name} of the camera {device.path}"
    if control.is_read_only:
        raise SettingError(f"{what} can only be read; it is {control.value}")
    value = _parsed(control, text.strip())
    if value is None:
        raise SettingError(f"{what} cannot be {text!r}; it can be {control.values()}")
    if control.type == "button":
        return value
    if control.type == "menu":
        nearest = min(control.menu, key=lambda number: abs(number - value), default=value)
    else:
        step = max(control.step, 1)
        inside = min(max(value, control.minimum), control.maximum)
        nearest = control.minimum + (inside - control.minimum + step // 2) // step * step
        nearest = nearest if nearest <= control.maximum else nearest - step
    if nearest != value:
        raise SettingError(f"{what} cannot be {text}; it can be {control.values()}; the nearest is {nearest}")
    return value


def _parsed(control: CameraControl, text: str) -> int | None:
    if control.type in ("boolean", "button") and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    number: int | None = None
    with contextlib.suppress(ValueError):
        number = int(text, 0)
    folded = _folded(text)
    # The number of an entry comes before its text, which may be a number, too: "50" selects "50 Hz".
    if control.type != "menu" or number in control.menu or not folded:
        return number
    exact = [at for at, entry in control.menu.items() if _folded(entry) == folded]
    starts = [at for at, entry in control.menu.items() if _folded(entry).startswith(folded)]
    if exact:
        return exact[0]
    return starts[0] if len(starts) == 1 else number


def _folded(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def _set(device: Device, control: CameraControl, value: int) -> None:
    try:
        api.SET_CONTROL(device.fd, api.Control(id=control.id, value=value))
    except OSError as exc:
        reason = {
            errno.EBUSY: "it cannot be changed while another program captures",
            errno.EACCES: "another control decides it at present",
        }.get(exc.errno or 0, os.strerror(exc.errno or 0))
        raise SettingError(f"the camera {device.path} refuses {control.name}={value}: {reason}") from exc
    now = next((one for one in controls(device) if one.id == control.id), control)
    if now.is_inactive:
        modes = [one.name for one in controls(device) if "auto" in one.name and one.value]
        hint = f"; switch it to manual first, for example with {modes[0]}=…" if modes else ""
        raise SettingError(f"{control.name} of the camera {device.path} has no effect at present{hint}")
