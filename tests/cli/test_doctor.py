"""`iox2-video doctor`: each problem is made for real, found with a remedy, and fixed where that is promised."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import _plugin
from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from gst_iceoryx2.doctor import CHECKS, Finding, examine, healthy
from tests.cli.conftest import CommandLine, described_by_another_release, stop
from tests.cli.test_list import CAM0
from tests.conftest import Place
from tests.containers.conftest import unshare, why_not
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

Source = Callable[..., Child]

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
IN_CONTAINERS = pytest.mark.skipif(bool(why_not()), reason="no namespaces can be made here")


def of(check: str, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [finding for finding in findings if finding["check"] == check]


def one_of(check: str, findings: list[dict[str, Any]]) -> dict[str, Any]:
    (finding,) = of(check, findings)
    return finding


def ask(iox2_video: CommandLine, *arguments: str, before: list[str] | None = None, **environment: str) -> Any:
    """Return the findings, and check that the exit code matches them."""
    command = [*iox2_video.command, "doctor", "--json", *arguments]
    done = subprocess.run(
        [*(before or []), *command],
        env=iox2_video.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document.keys() == {"healthy", "findings"}
    assert done.returncode == (0 if document["healthy"] else 1)
    return document["findings"]


def test_every_check_says_something_and_the_json_has_these_keys(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    findings = ask(iox2_video)
    assert list(dict.fromkeys(finding["check"] for finding in findings)) == list(CHECKS)
    assert list(CHECKS) == [
        "shared-memory",
        "leftovers",
        "users",
        "versions",
        "plugin",
        "element-names",
        "copies",
        "encoders",
        "file-limits",
        "containers",
        "sysv",
    ]
    for finding in findings:
        assert finding.keys() == {"check", "status", "text", "remedy", "can_fix", "was_fixed"}
        assert finding["status"] in ("ok", "note", "problem")
        assert finding["status"] != "problem" or finding["remedy"], finding


def test_a_healthy_domain_has_no_problem_of_its_own(iox2_video: CommandLine, source: Source, child: Source) -> None:
    source(CAM0)
    assert child("watch", CAM0, 1).told() == "watching"
    findings = ask(iox2_video)
    for check in ("leftovers", "users", "versions", "copies"):
        assert one_of(check, findings)["status"] == "ok", findings


def test_the_text_tells_what_to_do(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0).kill()
    done = iox2_video("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "problem  leftovers      1 dead participant" in done.stdout
    assert "→ iox2-video doctor --fix" in done.stdout
    assert "\x1b" not in done.stdout
    fixed = iox2_video("doctor", "--fix").stdout
    assert "fixed    leftovers" in fixed


def test_looking_removes_nothing_and_fix_removes_what_the_dead_left(
    iox2_video: CommandLine, source: Source, domain: Place
) -> None:
    living, dying = source("video/cam1/frame/v2"), source(CAM0)
    # A running participant looks for dead nodes every two seconds, and would clean up itself.
    living.kill(signal.SIGSTOP)
    dying.kill()
    before = domain.leftovers()
    finding = one_of("leftovers", ask(iox2_video))
    assert finding["status"] == "problem"
    assert finding["text"].startswith("1 dead participant, ")
    assert (finding["can_fix"], finding["was_fixed"]) == (True, False)
    assert sorted(domain.leftovers()) == sorted(before)

    finding = one_of("leftovers", ask(iox2_video, "--fix"))
    assert finding["was_fixed"]
    assert one_of("leftovers", ask(iox2_video))["status"] == "ok"
    assert iox2_video.json("list", "--json")["streams"][0]["short_name"] == "cam1"
    living.kill(signal.SIGCONT)
    assert living.process.poll() is None
    stop(living)
    wait_until(lambda: not domain.leftovers())


@pytest.mark.proves("L13")
def test_files_of_another_folder_are_said_to_be_unknown_and_stay(
    iox2_video: CommandLine, source: Source, domain: Place
) -> None:
    """They may belong to a living stream of another user or container, of which only shared memory is visible here."""
    living = source(CAM0)
    count = len(domain.shared_memory())
    here = f"{domain.root}h"
    for arguments in ((), ("--fix",)):
        findings = of("leftovers", ask(iox2_video, *arguments, IOX2_VIDEO_DOMAIN=f"{here}:{domain.prefix}"))
        assert [one["status"] for one in findings] == ["ok", "note"]
        assert "may be using them" in findings[1]["text"]
        assert not findings[1]["can_fix"]
        assert len(domain.shared_memory()) == count
    assert living.process.poll() is None
    assert not Path(here).exists()


@pytest.mark.proves("L13")
def test_a_service_that_no_participant_names_is_removed_on_request_only(
    iox2_video: CommandLine, source: Source, domain: Place
) -> None:
    source(CAM0)
    unnamed = domain.root / "services" / f"{domain.prefix}{'0' * 40}.service"
    unnamed.touch(0o600)
    assert one_of("leftovers", ask(iox2_video))["status"] == "ok"
    os.utime(unnamed, (1, 1))
    finding = one_of("leftovers", ask(iox2_video))
    assert finding["text"].startswith("0 dead participants, 1 file that no participant uses")
    assert unnamed.exists()
    services = sorted(domain.root.glob("services/*"))
    assert one_of("leftovers", ask(iox2_video, "--fix"))["was_fixed"]
    assert sorted(domain.root.glob("services/*")) == [path for path in services if path != unnamed]


def test_fix_in_a_process_that_takes_part_does_not_harm_it(source: Source, domain: Place) -> None:
    from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

    source(CAM0).kill()
    with VideoFramePublisher("own") as publisher, VideoFrameSubscriber("own") as subscriber:
        examine(fix=True)
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.end_of_stream()
        end = arrived(subscriber.receive_blocking(60_000))
        assert end.is_eos()
        del end


def small_shared_memory(size: str, iox2_video: CommandLine) -> Any:
    """Return the findings in a container with a /dev/shm of its own."""
    line = shlex.join([*iox2_video.command, "doctor", "--json"])
    done = subprocess.run(
        [*unshare(), "sh", "-c", f"mount -t tmpfs -o size={size} none /dev/shm && exec {line}"],
        env=iox2_video.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return json.loads(done.stdout)["findings"]


@IN_CONTAINERS
def test_a_shared_memory_that_holds_no_full_hd_stream_is_a_problem(iox2_video: CommandLine) -> None:
    finding = one_of("shared-memory", small_shared_memory("64m", iox2_video))
    assert finding["status"] == "problem"
    assert "/dev/shm has 67 MB, 67 MB free" in finding["text"]
    assert "149 MB" in finding["text"]
    assert "--shm-size" in finding["remedy"]


@IN_CONTAINERS
def test_a_shared_memory_of_its_own_is_told_from_services_that_have_none(
    iox2_video: CommandLine, source: Source
) -> None:
    """Here the folder of the domain is shared, and /dev/shm is not."""
    source(CAM0)
    problem = next(one for one in of("containers", small_shared_memory("2g", iox2_video)) if one["status"] == "problem")
    assert problem["text"].startswith("cam0: described in ")
    assert "--ipc=host" in problem["remedy"]


@IN_CONTAINERS
def test_participants_of_another_pid_namespace_are_counted_and_not_taken_for_dead(
    iox2_video: CommandLine, source: Source
) -> None:
    source(CAM0)
    findings = ask(iox2_video, before=unshare())
    assert any("another pid namespace" in one["text"] for one in of("containers", findings))
    assert one_of("leftovers", findings)["status"] == "ok"
    assert not any(one["status"] == "problem" for one in of("containers", findings))


@IN_CONTAINERS
def test_a_sh4lt_writer_of_another_ipc_namespace_is_a_problem(
    iox2_video: CommandLine, child: Source, runtime: Path
) -> None:
    path = runtime / "sh4lt" / "stage" / "cam0"
    assert child("write_sh4lt", str(path)).told() == "writing"
    findings = ask(iox2_video, before=[*unshare(), "unshare", "--ipc"])
    problem = next(one for one in of("containers", findings) if one["status"] == "problem")
    assert problem["text"].startswith(f"Sh4lt writers listen on {path}, but their memory is in another IPC namespace")
    assert "--ipc=host" in problem["remedy"]
    assert not any("IPC" in one["text"] for one in of("containers", ask(iox2_video)))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root can")
def test_services_of_several_users_are_a_problem(iox2_video: CommandLine, source: Source, domain: Place) -> None:
    source(CAM0)
    file = next(domain.root.glob("services/*.service"))
    os.chown(file, 65534, -1)
    finding = one_of("users", ask(iox2_video))
    assert finding["status"] == "problem"
    assert "nobody" in finding["text"]
    assert "IOX2_VIDEO_DOMAIN" in finding["remedy"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o744])
def test_a_domain_of_another_user_is_a_problem(
    iox2_video: CommandLine, source: Source, domain: Place, mode: int
) -> None:
    source(CAM0)
    code = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from gst_iceoryx2.doctor import examine\n"
        "for one in examine():\n"
        "    print(one.check, one.status, one.text, one.remedy)\n"
    )
    domain.root.chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=iox2_video.environment | {"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("users ")]
    assert line.startswith("users problem "), done.stderr
    assert "belongs to user 0 (this process runs as user 65534)" in line
    # The doctor does not report files and processes that it cannot see.
    assert "belong to nobody" not in done.stdout
    assert "no services" not in done.stdout


def test_services_of_another_release_are_a_problem(iox2_video: CommandLine, source: Source, domain: Place) -> None:
    source(CAM0)
    with described_by_another_release(domain, "old"):
        finding = one_of("versions", ask(iox2_video))
    assert finding["status"] == "problem"
    assert finding["text"].startswith("created by iceoryx2 0.9.0, but this is 0.10.0: old.")


def plugin_findings(domain: Place) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in examine():
        found.setdefault(finding.check, []).append(finding)
    return found


def test_a_package_without_a_plugin_is_a_note_with_what_it_needs(
    domain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plugin, "_FOLDER", tmp_path)
    note = next(one for one in plugin_findings(domain)["plugin"] if "not contain the GStreamer plugin" in one.text)
    assert note.status == "note"
    assert "The Python SDK works without it" in note.text
    assert note.remedy is not None
    assert note.remedy.startswith("what it needs: ")


def test_a_plugin_that_does_not_load_is_a_problem(
    domain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plugin, "_FOLDER", tmp_path)
    (tmp_path / _plugin._LIBRARY_NAME).write_text("no library")
    if gstreamer_version() is None:
        pytest.skip("without GStreamer nothing is loaded")
    (problem,) = plugin_findings(domain)["plugin"]
    assert problem.status == "problem"
    assert "does not load" in problem.text
    assert problem.remedy is not None


def test_a_missing_library_is_named_with_its_package(domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from gst_iceoryx2.doctor import plugin

    def fail() -> str:
        text = "libgstvideo-1.0.so.0: cannot open shared object file: No such file or directory"
        raise RuntimeError(f"the GStreamer plugin cannot be opened: {text}")

    monkeypatch.setattr(plugin, "plugin_version", fail)
    monkeypatch.setattr(plugin, "gstreamer_version", lambda: "1.22.0")
    monkeypatch.setattr(plugin, "plugin_library", lambda: Path("libgsticeoryx2.so"))
    (problem,) = plugin_findings(domain)["plugin"]
    assert problem.remedy == "apt install libgstreamer-plugins-base1.0-0"


def test_an_old_gstreamer_is_a_problem(domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from gst_iceoryx2.doctor import plugin

    monkeypatch.setattr(plugin, "gstreamer_version", lambda: "1.20.3")
    problem = plugin_findings(domain)["plugin"][0]
    assert problem.status == "problem"
    assert problem.text == "GStreamer is 1.20.3, but the elements need 1.22 or newer"


@pytest.mark.skipif(gstreamer_version() is None, reason="there is no GStreamer on this machine")
def test_pipelines_find_the_plugin_or_the_note_says_how(iox2_video: CommandLine) -> None:
    (note,) = [one for one in of("plugin", ask(iox2_video, GST_PLUGIN_PATH="")) if "GST_PLUGIN_PATH" in one["text"]]
    assert note["status"] == "note"
    assert note["remedy"] == "export GST_PLUGIN_PATH=$(iox2-video plugin-path)"
    found = of("plugin", ask(iox2_video, GST_PLUGIN_PATH=str(plugin_library().parent)))
    assert found[0]["status"] == "ok"
    assert "pipelines find it" in found[0]["text"]


@pytest.mark.skipif(gstreamer_version() is None, reason="there is no GStreamer on this machine")
def test_another_plugin_with_our_element_names_is_a_problem(iox2_video: CommandLine, tmp_path: Path) -> None:
    other = tmp_path / "libgstother.so"
    other.write_bytes(b"\x7fELF...sh4ltsink...")
    (finding,) = of("element-names", ask(iox2_video, GST_PLUGIN_PATH=str(tmp_path)))
    assert finding["status"] == "problem"
    assert finding["text"].startswith(f"{other} also provides sh4ltsink; ")


@ON_LINUX
def test_two_copies_of_iceoryx2_in_a_process_are_noted_and_a_third_is_a_problem(
    iox2_video: CommandLine, child: Source, tmp_path: Path
) -> None:
    pytest.importorskip("gi")
    both = child("with_plugin", CAM0, None)
    assert both.told() == "sending"
    (note,) = of("copies", ask(iox2_video))
    assert note["status"] == "note"
    assert f"process {both.pid} " in note["text"]
    stop(both)

    other = shutil.copy(plugin_library(), tmp_path / "libgsticeoryx2.so")
    three = child("with_plugin", CAM0, str(other))
    assert three.told() == "sending"
    (problem,) = of("copies", ask(iox2_video))
    assert problem["status"] == "problem"
    assert str(other) in problem["text"]


@ON_LINUX
def test_a_low_limit_on_open_files_is_a_problem(iox2_video: CommandLine) -> None:
    (finding,) = of("file-limits", ask(iox2_video, before=["prlimit", "--nofile=256:256"]))
    assert finding["status"] == "problem"
    assert "may open 256 files" in finding["text"]
    assert "ulimit -n" in finding["remedy"]


@ON_LINUX
def test_a_participant_that_has_nearly_no_files_left_is_named(iox2_video: CommandLine, child: Source) -> None:
    watcher = child("send_with", {"services": [CAM0]})
    assert watcher.told() == "sending"
    used = len(os.listdir(f"/proc/{watcher.pid}/fd"))
    subprocess.run(["prlimit", f"--pid={watcher.pid}", f"--nofile={used + 2}:{used + 2}"], check=True)
    problem = next(one for one in of("file-limits", ask(iox2_video)) if one["status"] == "problem")
    assert f"process {watcher.pid} " in problem["text"]


@ON_LINUX
def test_memory_of_a_dead_sh4lt_writer_is_found_and_removed(
    iox2_video: CommandLine, child: Source, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gst_iceoryx2.doctor import segments
    from gst_iceoryx2.sh4lt.dialect import keys_of
    from gst_iceoryx2.sh4lt.sysv import segment_status

    path = runtime / "sh4lt" / "stage" / "cam0"
    writer = child("write_sh4lt", str(path))
    assert writer.told() == "writing"
    key = keys_of(path).segment
    assert f"{key:#010x}" not in " ".join(one["text"] for one in of("sysv", ask(iox2_video)))
    writer.kill()
    # The table may have segments of other programs, which --fix would remove as well.
    there = segments._shmdata_segments
    monkeypatch.setattr(segments, "_shmdata_segments", lambda: [one for one in there() if one.key == key])
    # A segment that was just created is left alone until it is older.
    monkeypatch.setattr(segments, "_YOUNG", -1.0)
    found = [one for one in examine() if one.check == "sysv"]
    assert any(f"{key:#010x}" in one.text and one.can_fix for one in found)
    found = [one for one in examine(fix=True) if one.check == "sysv"]
    assert any(f"{key:#010x}" in one.text and one.was_fixed for one in found)
    with pytest.raises(OSError, match="No such file"):
        segment_status(key)


def test_a_broken_domain_is_a_finding_too(iox2_video: CommandLine) -> None:
    findings = ask(iox2_video, IOX2_VIDEO_DOMAIN="not/absolute")
    assert findings[0]["check"] == "domain"
    assert findings[0]["status"] == "problem"
    assert of("plugin", findings)


def test_what_was_fixed_counts_as_healthy() -> None:
    assert healthy([Finding("a", "problem", "x", None, True, was_fixed=True), Finding("b", "note", "y")])
    assert not healthy([Finding("a", "problem", "x", "do it")])


def test_missing_pyav_is_a_note_with_what_needs_it(iox2_video: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not on this machine')")
    path = os.pathsep.join((str(tmp_path), iox2_video.environment["PYTHONPATH"]))
    found = one_of("encoders", ask(iox2_video, PYTHONPATH=path))
    assert found["status"] == "note"
    assert "`record` and encoded streams (cam0@h264) cannot be used" in found["text"]
    assert "run `pip install 'iox2-video[record]'`" in found["text"]


def test_pyav_without_an_encoder_is_a_problem(domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    found = {finding.check: finding for finding in examine()}["encoders"]
    assert (found.status, found.text) == ("ok", f"PyAV {av.__version__} encodes and decodes H.264")
    original = av.Codec

    def without_x264(name: str, mode: str = "r") -> Any:
        return original("libx264_of_another_build" if name == "libx264" else name, mode)

    monkeypatch.setattr(av, "Codec", without_x264)
    found = {finding.check: finding for finding in examine()}["encoders"]
    assert found.status == "problem"
    assert "was built without libx264, which is needed to encode H.264 (`record`, cam0@h264)" in found.text
    assert found.remedy == "pip install 'iox2-video[record]'"
