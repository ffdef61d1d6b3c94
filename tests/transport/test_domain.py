"""The domain of a process, its service descriptions, and its stale files."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gst_iceoryx2._iox2 import cleanup, helper, liveness
from gst_iceoryx2._iox2.binding import create_listener, create_node
from gst_iceoryx2._iox2.description import list_services, read_service, service_identity
from gst_iceoryx2._iox2.domain import Domain, current_domain
from gst_iceoryx2.errors import DomainError
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, create_notifier
from tests.conftest import Place


def write_config(home: Path, text: str) -> Path:
    file = home / ".config" / "iceoryx2" / "iceoryx2.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_without_anything_said_it_is_iceoryx2s_own() -> None:
    domain = current_domain({})
    assert (domain.root, domain.prefix) == ("/tmp/iceoryx2", "iox2_")


@pytest.mark.parametrize(
    ("value", "root", "prefix"),
    [("/tmp/a", "/tmp/a", "iox2_"), ("/tmp/a:b_", "/tmp/a", "b_"), ("/tmp/a:b:c_", "/tmp/a:b", "c_")],
)
def test_the_variable_names_root_and_prefix(value: str, root: str, prefix: str) -> None:
    domain = current_domain({"IOX2_VIDEO_DOMAIN": value})
    assert (domain.root, domain.prefix) == (root, prefix)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("relative", "not absolute"),
        ("/" + "x" * 65, "is 66 bytes long, but at most 65"),
        ("/tmp/a:", "prefix"),
        ("/tmp/a:ü", "prefix"),
    ],
)
def test_a_domain_that_cannot_be_is_refused(value: str, words: str) -> None:
    with pytest.raises(DomainError, match=words) as caught:
        current_domain({"IOX2_VIDEO_DOMAIN": value})
    assert isinstance(caught.value, ValueError)


def test_the_users_configuration_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_config(
        tmp_path,
        '[global]\nroot-path = \'/tmp/other\'  # mine\nprefix = "mine_"\n[global.service]\ndirectory = "svc"\n',
    )
    domain = current_domain({"HOME": str(tmp_path)})
    assert domain == Domain("/tmp/other", "mine_", str(file), "svc", "nodes")
    assert str(domain.services) == "/tmp/other/svc"
    moved = current_domain({"HOME": str(tmp_path), "IOX2_VIDEO_DOMAIN": "/tmp/x:y_"})
    assert (moved.root, moved.prefix, moved.config_file) == ("/tmp/x", "y_", str(file))


def test_iceoryx2_reads_the_same_configuration(tmp_path: Path, domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, f"[global]\nroot-path = '{domain.root}'\nprefix = '{domain.prefix}'\n")
    monkeypatch.delenv("IOX2_VIDEO_DOMAIN")
    monkeypatch.setenv("HOME", str(tmp_path))
    with VideoFramePublisher("a") as pub, VideoFrameSubscriber("a"):
        assert pub.wait_for_subscribers(1, timeout=60) == 1
        assert domain.leftovers()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[global\nroot-path = 3", "Expected ']'"),
        (b"[global]\nprefix = mine_\n", "Invalid value"),
        (b"[global]\nprefix = 'caf\xe9'\n", "utf-8"),
        (b"deep = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_configuration_that_is_not_toml_is_an_error_with_its_path(tmp_path: Path, content: bytes, words: str) -> None:
    file = write_config(tmp_path, "")
    file.write_bytes(content)
    with pytest.raises(DomainError, match=f"cannot use the iceoryx2 configuration {file}: .*{words}"):
        current_domain({"HOME": str(tmp_path)})


def test_a_configuration_that_iceoryx2_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_config(tmp_path, "[global.node]\ncleanup-dead-nodes-on-creation = 3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DomainError, match=f"cannot use the iceoryx2 configuration {file}"):
        create_node()


def test_a_configuration_below_a_name_that_iceoryx2_does_not_take_is_named(tmp_path: Path) -> None:
    """The error names the character, not the length of the path."""
    file = write_config(tmp_path / "jürgen", "[global]\nprefix = 'mine_'\n")
    with pytest.raises(DomainError, match=f'configuration path "{file}" .* contains "ü"; use printable ASCII'):
        current_domain({"HOME": str(tmp_path / "jürgen")})


def test_a_configuration_in_the_working_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "iceoryx2.toml").write_text("[global]\nprefix = 'trap_'\n")
    monkeypatch.chdir(tmp_path)
    assert current_domain({"HOME": str(tmp_path)}).prefix == "iox2_"
    create_node()
    assert not list(Path("/dev/shm").glob("trap_*"))


def test_a_root_of_the_longest_length_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = f"/tmp/{'l' * (60 - len(str(os.getpid())))}{os.getpid()}"
    assert len(root) == 65
    place = Place()
    # All files with this prefix are removed, so no other test may use it.
    place.root, place.prefix = Path(root), "~"
    monkeypatch.setenv("IOX2_VIDEO_DOMAIN", f"{root}:{place.prefix}")
    try:
        with VideoFramePublisher("a") as pub, VideoFrameSubscriber("a") as sub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.end_of_stream()
            assert sub.receive_blocking(60_000) is not None
    finally:
        place.remove()


def test_a_root_and_prefix_too_long_for_a_socket_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    place.root = Path(f"/tmp/{'l' * (60 - len(str(os.getpid())))}{os.getpid()}")
    monkeypatch.setenv("IOX2_VIDEO_DOMAIN", f"{place.root}:iox2_video_test_")
    try:
        with pytest.raises(DomainError, match=r"have 81 bytes together, .* at most 66"):
            VideoFrameSubscriber("a")
    finally:
        place.prefix = "iox2_video_test_"
        place.remove()


def test_services_are_found_by_their_files_alone(service: str) -> None:
    names = [service, 'it\'s "another" \\ one', "a'b", 'a"b', "a\\b", "'''\"\"\"\\"]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(VideoFramePublisher(name))
        records = list(list_services(current_domain()))
        found = sorted((record.name, record.pattern) for record in records)
        assert found == sorted(itertools.product(names, ("Event", "PublishSubscribe")))
        assert {record.version for record in records} == {"0.10.0"}
        path = current_domain().service_file(service, "PublishSubscribe")
        record = read_service(path)
        assert record is not None
        assert record.name == service
        assert record.type_of("user_header") == "VideoFrameHeader (104 bytes, alignment 8)"
        assert record.type_of("payload").startswith("slices of u8 (1 byte, ")
        assert service_identity(path) is not None
    assert service_identity(path) is None
    assert read_service(path) is None
    assert list(list_services(current_domain())) == []


def test_files_that_are_no_descriptions_are_passed_over(domain: Place) -> None:
    folder = domain.root / "services"
    folder.mkdir(parents=True)
    for name, text in (
        ("a", ""),
        ("b", "\0\1\2"),
        ("c", "service_name = 3"),
        ("d", "service_name = 'x'"),
        ("e", "a = " + "[" * 100_000),
    ):
        (folder / f"{domain.prefix}{name}.service").write_text(text)
    (folder / "other.service").write_text("service_name = 'x'\n[messaging_pattern.Event]\na = 1")
    assert list(list_services(current_domain())) == []
    domain.remove()
    assert list(list_services(current_domain())) == []


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def node_file(domain: Place, pid: int) -> Path:
    number = (7 << 96) | (pid << 64) | (5 << 32) | int(time.monotonic())
    file = domain.root / "nodes" / f"{domain.prefix}{number}.node_monitor"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def number_of(file: Path, domain: Place) -> int:
    return int(file.stem.removeprefix(domain.prefix))


def test_a_node_is_dead_when_its_process_has_gone(domain: Place) -> None:
    here = current_domain()
    assert liveness.dead_nodes(here) == []
    node = create_node()
    assert liveness.dead_nodes(here) == []
    file = node_file(domain, ended_process())
    assert liveness.dead_nodes(here) == [number_of(file, domain)]
    file.unlink()
    assert node is not None


def test_a_node_is_dead_although_a_process_has_its_number(domain: Place) -> None:
    """The main process of a container has the same pid after every start."""
    file = node_file(domain, os.getpid())
    assert liveness.dead_nodes(current_domain()) == [number_of(file, domain)]
    file.unlink()


@pytest.mark.parametrize("name", ["x.node_monitor", "12.node_monitor_context", ".node_monitor", "1e3.node_monitor"])
def test_other_files_are_no_nodes(name: str, domain: Place) -> None:
    (domain.root / "nodes").mkdir(parents=True)
    (domain.root / "nodes" / f"{domain.prefix}{name}").touch()
    assert liveness.dead_nodes(current_domain()) == []
    domain.remove()


def test_the_helper_does_not_run_where_nothing_is_stale(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    monkeypatch.setattr(cleanup, "run_helper", lambda _: pytest.fail("the helper ran"))
    VideoFramePublisher(service).close()


def test_the_helper_is_tried_once_for_each_stale_node(domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Domain] = []
    monkeypatch.setattr(cleanup, "run_helper", runs.append)
    file = node_file(domain, ended_process())
    assert cleanup.clean_up_if_stale(current_domain())
    assert not cleanup.clean_up_if_stale(current_domain())
    assert runs == [current_domain()]
    file.unlink()


def test_a_node_that_was_killed_before_it_had_a_lock_file_is_removed_when_it_is_old(domain: Place) -> None:
    """A process id proves nothing: in another container it belongs to another process, or to none."""
    nodes = domain.root / "nodes"
    old, young = (nodes / str((number << 96) | (ended_process() << 64) | 5) for number in (7, 8))
    foreign = nodes / str((9 << 96) | 5)
    for folder, prefix in ((old, domain.prefix), (young, domain.prefix), (foreign, "other_")):
        folder.mkdir(parents=True)
        (folder / f"{prefix}node.details").touch()
    for folder, age in ((old, 1 << 30), (foreign, 1 << 30), (young, -3600)):
        for file in folder.iterdir():
            os.utime(file, (time.time() - age,) * 2)
    cleanup.clean_up_if_stale(current_domain())
    assert sorted(path.name for path in nodes.iterdir()) == sorted([young.name, foreign.name])
    domain.remove()


def test_a_native_helper_is_preferred(domain: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    helper = tmp_path / "iceoryx2-cleanup"
    helper.write_text(f'#!/bin/sh\necho "$@" "$IOX2_VIDEO_DOMAIN" > {tmp_path}/said\n')
    helper.chmod(0o755)
    monkeypatch.setattr(cleanup, "_HELPER", helper)
    assert cleanup.run_helper(current_domain())
    assert (tmp_path / "said").read_text().split() == [str(domain.root), domain.prefix, domain.variable]


def test_a_helper_that_fails_is_reported_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    helper = tmp_path / "iceoryx2-cleanup"
    helper.write_text("#!/bin/sh\necho no such luck >&2; exit 3\n")
    helper.chmod(0o755)
    monkeypatch.setattr(cleanup, "_HELPER", helper)
    assert not cleanup.run_helper(current_domain())
    assert "code 3: no such luck" in caplog.text


def test_the_python_helper_takes_the_domain_from_arguments_or_environment(domain: Place) -> None:
    assert helper.main([]) == 0
    assert helper.main([str(domain.root), domain.prefix]) == 0
    assert not domain.root.exists()


def test_the_python_helper_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert helper.main(["one"]) == 2
    assert helper.main(["relative", "x_"]) == 1
    assert "not absolute" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="harms root alone")
def test_a_segment_without_a_size_does_not_stop_root(domain: Place, service: str) -> None:
    """iceoryx2 0.10.0 waits indefinitely for its size, with the GIL held."""
    create_node()
    (segment,) = domain.shared_memory()
    segment.unlink()
    segment.touch(0o200)
    os.utime(segment, (1, 1))
    with VideoFramePublisher(service) as pub:
        assert pub.num_subscribers == 0


def test_the_listener_and_notifier_of_a_name_meet(service: str) -> None:
    listener = create_listener(create_node(), service)
    assert create_notifier(create_node(), service).notify() == 1
    assert len(listener.try_wait()) == 1
    assert listener.try_wait() == []
