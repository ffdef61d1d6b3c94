"""The transports that can be compared: for each end a launch line, or a module of this package.

In the lines and arguments, `{service}` is a name and `{folder}` a private folder of the run; `{caps}`, `{format}`,
`{width}`, `{height}` and `{bytes}` tell what its frames are, and `{pool}` is the size of a memory for 16 of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from gst_iceoryx2 import plugin_path

# Longer than the time between two frames at 60 a second.
BUSY_SECONDS = 0.02
AGAINST_VARIABLE = "IOX2_BENCH_AGAINST"


@dataclass(frozen=True)
class Transport:
    """One way to pass frames from one process to another.

    Attributes:
        name: For the report.
        sink: Launch line that ends the publishing pipeline. The publisher starts first.
        source: Launch line that begins the receiving pipeline; None = nothing receives.
        plugins: Folder for GST_PLUGIN_PATH; None = GStreamer's own plugins are enough.
        sender: Module and arguments that publish in the sink's place; frames and frames per second are appended.
        receiver: Module and arguments that receive in the source's place.
        copies: How often the pixels are copied on the way, by libraries and the kernel.
        waits: Whether the publisher waits for its receivers, so that nothing is lost however fast it is.
        is_ours: Whether this project's software is in it.
        feed: Which feed of the native program publishes: `feed`; `feed-busy`, which does not sleep between frames;
            `feed-filled`, which fills each frame before it is stamped.
    """

    name: str
    sink: str | None
    source: str | None
    plugins: Path | None = None
    sender: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()
    copies: int = 0
    waits: bool = False
    is_ours: bool = False
    feed: str = "feed"

    @property
    def is_native(self) -> bool:
        """Whether both ends are pipelines."""
        return not self.sender and not self.receiver


def iceoryx2() -> Transport:
    """Return the plugin of this working tree."""
    # sync=false, because the publisher sets the pace.
    sink, source = 'iceoryx2sink service="{service}" sync=false', 'iceoryx2src service="{service}"'
    return Transport("iceoryx2", sink, source, plugin_path(), is_ours=True)


def other_build(folder: Path) -> Transport:
    """Return the plugin in another folder, for comparison; it needs elements and properties of the same names."""
    return replace(iceoryx2(), name=f"iceoryx2 in {folder}", plugins=folder, is_ours=False)


def named_builds() -> list[Path]:
    """Return the folders in the environment variable IOX2_BENCH_AGAINST, separated as in PATH."""
    return [Path(folder) for folder in os.environ.get(AGAINST_VARIABLE, "").split(os.pathsep) if folder]


def nothing() -> Transport:
    """Return a sink that discards frames."""
    return Transport("fakesink", "fakesink sync=false", None)


def lossless(way: Transport) -> Transport:
    """Return the transport with a sink that waits for its subscribers."""
    assert way.sink is not None
    return replace(way, name=f"{way.name}, lossless", sink=f"{way.sink} lossless=true", waits=True)


def copying(way: Transport) -> Transport:
    """Return the transport with an element before the sink that does not use the sink's memory."""
    return replace(way, name=f"{way.name}, copied", sink=f"identity drop-allocation=true ! {way.sink}", copies=1)


def busy() -> Transport:
    """Return the transport with a source that does not sleep between frames."""
    way = iceoryx2()
    return replace(way, name="iceoryx2, busy", source=f"{way.source} busy-wait={BUSY_SECONDS * 1e9:.0f}")


def busy_at_both_ends() -> Transport:
    """Return the transport with a source and a publisher that do not sleep: two processors for one stream."""
    return replace(busy(), name="iceoryx2, both ends busy", feed="feed-busy")


def filled() -> Transport:
    """Return the transport with a publisher that fills each frame first, so its caches contain little else."""
    return replace(iceoryx2(), name="iceoryx2, filled", feed="feed-filled")


def bare() -> Transport:
    """Return the simplest pair of elements, which passes only a stamp: the cost is GStreamer and the wake-up."""
    return Transport(
        "floor: bare elements", 'benchbaresink path="{folder}/p" sync=false', 'benchbaresrc path="{folder}/p"'
    )


def bare_to_python() -> Transport:
    """Return the simplest pair with a Python reader that only reads the stamp."""
    return replace(bare(), name="floor: bare sink → Python", source=None, receiver=("python_bare", "{folder}/p"))


def to_python() -> Transport:
    """Return the transport from a pipeline into an array."""
    receiver = ("python_receive", "{service}")
    return replace(iceoryx2(), name="iceoryx2 → Python", source=None, receiver=receiver)


def to_busy_python() -> Transport:
    """Return the transport from a pipeline into an array, with a reader that does not sleep between frames."""
    receiver = ("python_receive", "{service}", str(BUSY_SECONDS))
    return replace(to_python(), name="iceoryx2 → Python, busy", receiver=receiver)


def from_python(how: str = "loan") -> Transport:
    """Return the transport from a loan in Python into a pipeline."""
    sender = ("python_send", "{service}", how, "{format}", "{width}", "{height}")
    return replace(iceoryx2(), name="Python → iceoryx2", sink=None, sender=sender)


def between_pythons(how: str = "loan") -> Transport:
    """Return the transport from Python to Python: a loan with only a stamp, a filled loan, or a copied array."""
    name = {"loan": "Python → Python", "fill": "Python → Python, filled", "publish": "Python → Python, copied"}[how]
    way = replace(from_python(how), name=name, source=None, receiver=("python_receive", "{service}"))
    return replace(way, copies=int(how == "publish"))
