"""The claims of docs/containers.md: what containers must share, and what happens if they do not."""

from __future__ import annotations

import pytest

from tests.conftest import Place
from tests.containers.conftest import Container, Start
from tests.waiting import wait_until


def frames(box: Container) -> list[int]:
    """Return the numbers of the frames that a receiver printed; all must be intact."""
    lines = [line.split() for line in box.lines() if line.startswith("frame")]
    assert all(state == "sound" for _, _, state in lines), box.output()
    return [int(number) for _, number, _ in lines]


def wait_for(box: Container, text: str) -> None:
    def said() -> bool:
        assert box.process.poll() is None or text in box.output(), box.output()
        return text in box.output()

    wait_until(said)


def test_frames_cross_between_containers_that_share_both(container: Start, service: str) -> None:
    # The buffer is large enough for a receiver that does not run for ten seconds.
    publisher, receiver = container("publish", service, 0.01, 1000), container("receive", service, 20)
    numbers = frames_of(receiver)
    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert "subscribers" in publisher.finish()
    # Both are process 1 of their container, so the number does not tell which one lives.
    assert "as process 1\n" in publisher.output()
    assert "as process 1\n" in receiver.output()


def frames_of(box: Container) -> list[int]:
    box.finish()
    return frames(box)


def test_the_elements_cross_containers(container: Start, service: str) -> None:
    sender = container("gst-launch-1.0", "-q", *live(service).split())
    sink = "fakesink sync=true"
    receiver = container("gst-launch-1.0", "-q", *f"iceoryx2src service={service} num-buffers=30 ! {sink}".split())
    receiver.finish()
    assert sender.process.poll() is None
    sender.kill()


@pytest.mark.parametrize("after", [0, 40])
@pytest.mark.proves("M6")
def test_a_lossless_publisher_loses_nothing_across_containers(container: Start, service: str, after: int) -> None:
    """A reader lives although its process id is unknown here, or another process's."""
    receiver = container("receive", service, 1000, 0.01, after=after)
    wait_for(receiver, "receiving")
    sender = container("gst-launch-1.0", "-q", *lossless(service, 150).split())
    receiver.finish()
    sender.finish()
    numbers = [int(line.split()[1]) for line in receiver.lines() if line.startswith("frame")]
    assert numbers == list(range(150))


@pytest.mark.parametrize("after", [0, 40])
def test_a_lossless_publisher_does_not_wait_for_the_dead_of_another_container(
    container: Start, service: str, after: int
) -> None:
    receiver = container("receive", service, 1000, 0.1, after=after)
    wait_for(receiver, "receiving")
    sender = container("gst-launch-1.0", "-q", *lossless(service, 100).split())
    wait_for(receiver, "frame 5")
    receiver.kill()
    sender.finish()


def lossless(service: str, count: int) -> str:
    """Return a launch line that sends numbered frames and waits for slow readers."""
    sink = f"iceoryx2sink service={service} lossless=true wait-for-connection=true sync=false"
    return f"videotestsrc num-buffers={count} ! video/x-raw,width=64,height=48 ! {sink}"


@pytest.mark.proves("L8")
def test_a_killed_container_is_replaced_and_leaves_nothing(container: Start, service: str, domain: Place) -> None:
    receiver = container("receive", service, 10_000)
    for _ in range(3):
        publisher = container("publish", service, 0.01)
        before = len(frames(receiver))
        wait_until(lambda before=before: len(frames(receiver)) > before + 5)  # type: ignore[misc]
        publisher.kill()
    receiver.kill()
    # The next participants remove what the killed ones left behind.
    final, last = container("receive", service, 5), container("publish", service, 0.01)
    final.finish()
    last.finish()
    wait_until(lambda: not domain.leftovers())


def test_a_killed_element_is_replaced_though_its_successor_has_its_number(container: Start, service: str) -> None:
    """After a restart the element is process 1 again, as if the dead process 1 lived."""
    receiver = container("receive", service, 10_000)
    for _ in range(3):
        before = len(receiver.lines())
        sender = container("gst-launch-1.0", "-q", *live(service).split())
        wait_until(lambda before=before: len(receiver.lines()) > before + 5)  # type: ignore[misc]
        sender.kill()
    receiver.kill()
    final = container("receive", service, 5)
    last = container("gst-launch-1.0", "-q", *live(service).split())
    final.finish()
    last.kill()
    assert len(final.lines()) == 6


def live(service: str) -> str:
    """Return a launch line that publishes until it is killed."""
    return (
        f"videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=100/1 ! iceoryx2sink service={service}"
    )


def test_a_killed_subscriber_gives_its_place_back(container: Start, service: str) -> None:
    publisher = container("publish", service, 0.01)
    for _ in range(3):
        boxes = [container("receive", service, 10_000) for _ in range(4)]
        wait_until(lambda boxes=boxes: all(frames(box) for box in boxes))  # type: ignore[misc]
        for box in boxes:
            box.kill()
    # The service admits eight subscribers: twelve killed ones have given their places back.
    receiver = container("receive", service, 5)
    assert len(frames_of(receiver)) == 5
    publisher.finish()


@pytest.mark.proves("E1")
def test_without_a_common_dev_shm_the_error_says_so_and_harms_nobody(container: Start, service: str) -> None:
    publisher = container("publish", service, 0.01)
    wait_for(publisher, "publishing")
    element = ("gst-launch-1.0", "iceoryx2src", f"service={service}", "!", "fakesink")
    acts = (("receive", service, 1), ("publish", service, 0.01), element)
    isolated_containers = [container(*act, own=("/dev/shm",)) for act in acts]
    for isolated in isolated_containers:
        assert isolated.process.wait(60) != 0, isolated.output()
        assert service in isolated.output()
        assert "share /dev/shm with that container" in isolated.output()
    # A participant that cannot see the owners of files must not take the files for left behind.
    assert len(frames_of(container("receive", service, 5))) == 5
    assert "subscribers" in publisher.finish()


def test_without_a_common_root_nobody_is_found(container: Start, service: str, domain: Place) -> None:
    publisher = container("publish", service, 0.01)
    wait_for(publisher, "publishing")
    isolated = container("receive", service, 1, own=(str(domain.root),))
    wait_for(isolated, "receiving")
    other = container("publish", service, 0.01, own=(str(domain.root),))
    wait_for(other, "publishing")
    # Two domains with different roots and the same prefix both work.
    beside = container("receive", service, 5)
    assert len(frames_of(beside)) == 5
    assert "frame" not in isolated.output()
    assert "subscribers 0" in other.finish()
    isolated.kill()
    assert "subscribers" in publisher.finish()
    # Its folder was removed with the container, so the owner of the memory is unknown.
    domain.remove()


@pytest.mark.parametrize("after", [0, 40])
@pytest.mark.proves("L11")
def test_a_killed_subscriber_of_another_container_is_no_longer_counted(
    container: Start, service: str, after: int
) -> None:
    publisher, receiver = container("publish", service, 0.01), container("receive", service, 10_000, after=after)
    wait_until(lambda: frames(receiver))
    receiver.kill()
    wait_until(lambda: publisher.lines()[-1] == "counts 0")
    publisher.finish()
