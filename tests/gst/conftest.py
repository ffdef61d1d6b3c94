"""Pipelines in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from tests.conftest import Place
from tests.gst.remote import Stage, clean_environment, run
from tests.transport.raw import RawPublisher

if gstreamer_version() is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def plugin_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which GStreamer finds the built plugin.

    A plugin that is missing or does not load is a failure, because GStreamer is installed.
    """
    environment = clean_environment() | {
        "GST_PLUGIN_PATH": str(plugin_library().parent),
        # One registry for the session, which is written here.
        "GST_REGISTRY": str(tmp_path_factory.mktemp("registry") / "registry.bin"),
        "G_DEBUG": "fatal-warnings",
        "PYTHONPATH": os.pathsep.join(["python", "."]),
    }
    found = run(["gst-inspect-1.0", "iceoryx2"], environment, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    return environment


@pytest.fixture
def environment(plugin_environment: dict[str, str], domain: Place) -> dict[str, str]:
    """Environment of this test's processes. The test uses the same domain."""
    return plugin_environment | {"IOX2_VIDEO_DOMAIN": domain.variable}


@pytest.fixture
def stages(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Start processes with pipelines. All must exit by themselves, without a GLib warning."""
    started: list[Stage] = []

    def start(**variables: str) -> Stage:
        stage = Stage(environment | variables, tmp_path / f"stage{len(started)}.log")
        started.append(stage)
        return stage

    yield start
    errors = []
    for stage in started:
        try:
            stage.close()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def liar(environment: dict[str, str], service: str) -> Iterator[RawPublisher]:
    """A publisher that sends any bytes."""
    publisher = RawPublisher(service, 1 << 20, buffer_size=10)
    yield publisher
    publisher.close()


@pytest.fixture
def service() -> str:
    """Name of the service of this test, which needs no quotes in a launch line."""
    return "video/test/frame/v2"
