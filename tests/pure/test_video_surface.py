"""The public names, signatures, defaults and help of `gst_iceoryx2.video`."""

from __future__ import annotations

import inspect
import pydoc
from dataclasses import fields
from pathlib import Path

import pytest

from gst_iceoryx2 import errors, video

CONSTANTS = {
    "DEFAULT_SERVICE": "video/default/frame/v2",
    "DEFAULT_AUX_BYTES": 4096,
    "FORMAT_LEN": 16,
    "HEADER_ALIGN": 8,
    "HEADER_FLAG_EOS": 1 << 32,
    "HEADER_SIZE": 104,
    "HEADER_TYPE_NAME": "VideoFrameHeader",
    "MAX_PLANES": 4,
    "VIDEO_BUFFER_SIZE": 10,
    "VIDEO_BORROWED_MAX": 10,
    "VIDEO_HISTORY_SIZE": 0,
    "VIDEO_SAFE_OVERFLOW": True,
}
CLASSES = {
    "CustomMeta",
    "FrameParams",
    "FrameSet",
    "FrameSetStats",
    "FrameSets",
    "LoanedFrame",
    "ParsedAux",
    "PublisherStats",
    "Qos",
    "ReferenceTimestamp",
    "SinkConfig",
    "SubscriberStats",
    "VideoFrame",
    "VideoFrameHeader",
    "VideoFramePublisher",
    "VideoFrameSubscriber",
}
FUNCTIONS = {
    "build_aux",
    "create_listener",
    "create_node",
    "create_notifier",
    "format_channels",
    "header_pixels_to_numpy_view",
    "open_video_service",
    "parse_aux",
    "plane_heights",
    "validate_geometry",
}
TABLES = {"BUFFER_FLAGS", "PACKED_FORMATS", "SUPPORTED_FORMATS"}


def test_all_names_exactly_the_public_surface() -> None:
    assert set(video.__all__) == CONSTANTS.keys() | CLASSES | FUNCTIONS | TABLES
    assert len(set(video.__all__)) == len(video.__all__)
    public = {name for name, value in vars(video).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert public - {"annotations"} == set(video.__all__)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_has_its_value(name: str) -> None:
    assert getattr(video, name) == CONSTANTS[name]


def parameters(of: object) -> list[str]:
    """Return the names of the parameters in order; keyword-only parameters begin with a star."""
    return [
        ("*" if parameter.kind is parameter.KEYWORD_ONLY else "") + name
        for name, parameter in inspect.signature(of).parameters.items()  # type: ignore[arg-type]
        if name != "self"
    ]


@pytest.mark.parametrize(
    ("of", "first"),
    [
        (video.VideoFramePublisher, ["service_name", "*max_bytes", "*iox2_node"]),
        (video.VideoFrameSubscriber, ["service_name", "*iox2_node"]),
        (video.VideoFramePublisher.publish_frame, ["pixels", "params"]),
        (video.VideoFrameSubscriber.receive, []),
        (video.VideoFrameSubscriber.receive_blocking, ["block_ms"]),
        (video.VideoFramePublisher.loan, ["width", "height", "format"]),
        (video.VideoFramePublisher.wait_for_subscribers, ["n", "timeout"]),
        (video.FrameSets, ["names", "*tolerance", "*reference", "*wait"]),
        (video.FrameSets.latest, ["timeout"]),
        (video.FrameParams, ["width", "height", "format", "n_planes", "stride0", "offset", "pts"]),
        (video.Qos, ["buffer_size", "borrowed_max", "history_size", "safe_overflow"]),
        (
            video.SinkConfig,
            ["service", "max_bytes", "buffer_size", "borrowed_max", "history_size", "safe_overflow"],
        ),
        (video.build_aux, ["caps", "metas", "limit"]),
        (video.parse_aux, ["buffer"]),
        (video.validate_geometry, ["header", "pixel_size"]),
        (video.open_video_service, ["node", "service_name", "qos"]),
        (video.create_notifier, ["node", "name"]),
        (video.create_listener, ["node", "name"]),
        (video.header_pixels_to_numpy_view, ["header", "pixels"]),
        (video.CustomMeta, ["name", "fields"]),
    ],
)
def test_parameters_keep_their_names_and_order(of: object, first: list[str]) -> None:
    assert parameters(of)[: len(first)] == first


@pytest.mark.parametrize("name", ["FrameSet", "VideoFrame", "LoanedFrame"])
def test_help_shows_no_constructor_of_what_programs_do_not_create(name: str) -> None:
    text = pydoc.plain(pydoc.render_doc(getattr(video, name)))
    assert "__init__" not in text
    assert "programs do not create them" in text


def test_defaults_are_the_documented_ones() -> None:
    assert video.Qos() == video.Qos(10, 10, 0, True)
    params = video.FrameParams()
    values = {field.name: getattr(params, field.name) for field in fields(params)}
    assert values == {
        "width": 0,
        "height": 0,
        "format": "BGR",
        "n_planes": 1,
        "stride0": None,
        "offset": 0,
        "pts": 0,
    }
    assert inspect.signature(video.VideoFrameSubscriber.receive_blocking).parameters["block_ms"].default is None


def test_a_sink_config_renders_the_elements_properties() -> None:
    config = video.SinkConfig("video/cam0/frame/v2", max_bytes=12, buffer_size=3, safe_overflow=False)
    assert config.gst_properties() == {
        "service": "video/cam0/frame/v2",
        "max-bytes": 12,
        "buffer-size": 3,
        "borrowed-max": 10,
        "history-size": 0,
        "safe-overflow": False,
    }


def test_parameters_of_a_frame_can_be_changed() -> None:
    """They were frozen, and needed a size to be created."""
    params = video.FrameParams()
    params.width, params.height, params.pts = 4, 2, 7
    assert params == video.FrameParams(4, 2, pts=7)
    with pytest.raises(AttributeError):
        params.hight = 2  # type: ignore[attr-defined]


def test_settings_are_values() -> None:
    for value in (video.Qos(), video.SinkConfig("x")):
        with pytest.raises(AttributeError):
            setattr(value, fields(value)[0].name, 1)
        assert hash(value) == hash(value)


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_in_the_tree_and_tells_its_text(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.Iox2VideoError)
    assert str(kind("what, where, what to do")) == "what, where, what to do"
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each class is listed below its base, with its built-in base in brackets."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        kind = getattr(errors, name, None) if name.endswith("Error") else None
        if kind is None:
            continue
        depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
        path[depth:] = [name]
        bases = [base.__name__ for base in kind.__bases__]
        if depth:
            assert bases[0] == path[depth - 1], line
        if "(" in line:
            assert line.partition("(")[2].partition(")")[0] == bases[1], line
        else:
            assert len(bases) == 1, line


def test_the_package_is_typed() -> None:
    assert (Path(video.__file__).parents[1] / "py.typed").exists()
