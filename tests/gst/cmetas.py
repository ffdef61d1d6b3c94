"""Metas of a buffer through the C interface. PyGObject cannot list them, and returns copies of their structures."""

from __future__ import annotations

import ctypes

_gst = ctypes.CDLL("libgstreamer-1.0.so.0")
_Pointer, _Text = ctypes.c_void_p, ctypes.c_char_p


class _MetaInfo(ctypes.Structure):
    """Beginning of GstMetaInfo. Source: gst/gstmeta.h."""

    _fields_ = (("api", ctypes.c_size_t), ("type", ctypes.c_size_t))


class _Meta(ctypes.Structure):
    """GstMeta. Source: gst/gstmeta.h."""

    _fields_ = (("flags", ctypes.c_uint), ("info", ctypes.POINTER(_MetaInfo)))


class _ReferenceTimestampMeta(ctypes.Structure):
    """Beginning of GstReferenceTimestampMeta. Source: gst/gstbuffer.h."""

    _fields_ = (
        ("parent", _Meta),
        ("reference", _Pointer),
        ("timestamp", ctypes.c_uint64),
        ("duration", ctypes.c_uint64),
    )


def _declare(name: str, result: object, *arguments: object) -> ctypes._NamedFuncPointer:
    function = _gst[name]
    function.restype, function.argtypes = result, arguments
    return function


_g_type_name = ctypes.CDLL("libgobject-2.0.so.0").g_type_name
_g_type_name.restype, _g_type_name.argtypes = _Text, (ctypes.c_size_t,)
_iterate = _declare("gst_buffer_iterate_meta", ctypes.POINTER(_Meta), _Pointer, ctypes.POINTER(_Pointer))
_add_custom = _declare("gst_buffer_add_custom_meta", _Pointer, _Pointer, _Text)
_custom_structure = _declare("gst_custom_meta_get_structure", _Pointer, _Pointer)
_register_custom = _declare("gst_meta_register_custom", _Pointer, _Text, _Pointer, _Pointer, _Pointer, _Pointer)
_get_info = _declare("gst_meta_get_info", _Pointer, _Text)
_is_custom = _declare("gst_meta_info_is_custom", ctypes.c_int, _Pointer)
_structure_from_string = _declare("gst_structure_from_string", _Pointer, _Text, _Pointer)
_structure_to_string = _declare("gst_structure_to_string", _Text, _Pointer)
_structure_foreach = _declare("gst_structure_foreach", ctypes.c_int, _Pointer, _Pointer, _Pointer)
_structure_set_value = _declare("gst_structure_id_set_value", None, _Pointer, ctypes.c_uint32, _Pointer)
_structure_free = _declare("gst_structure_free", None, _Pointer)
_caps_to_string = _declare("gst_caps_to_string", _Text, _Pointer)
_gstvideo = ctypes.CDLL("libgstvideo-1.0.so.0")
_video_meta_api = _gstvideo.gst_video_meta_api_get_type
_video_meta_api.restype = ctypes.c_size_t
_add_allocation_meta = _declare("gst_query_add_allocation_meta", None, _Pointer, ctypes.c_size_t, _Pointer)
_ref = _declare("gst_mini_object_ref", _Pointer, _Pointer)
_unref = _declare("gst_mini_object_unref", None, _Pointer)


def propose_video_meta(query: int) -> None:
    """Answer the allocation query at this address as a sink with support for GstVideoMeta does."""
    # PyGObject's wrapper holds a second reference, with which the query is not writable.
    _unref(query)
    _add_allocation_meta(query, _video_meta_api(), None)
    _ref(query)


class _VideoAlignment(ctypes.Structure):
    """GstVideoAlignment. Source: gst/video/video-info.h."""

    _fields_ = (
        *((f"padding_{side}", ctypes.c_uint) for side in ("top", "bottom", "left", "right")),
        ("stride_align", ctypes.c_uint * 4),
    )


def set_video_alignment(config: int, padding: list[int], stride_align: int) -> None:
    """Ask for padding (top, bottom, left, right) in the configuration of a pool. PyGObject cannot set the array."""
    alignment = _VideoAlignment(*padding, (stride_align,) * 4)
    _gstvideo.gst_buffer_pool_config_set_video_alignment(_Pointer(config), ctypes.byref(alignment))


def register_custom_meta(name: str) -> None:
    """Register a custom meta once."""
    if not _get_info(name.encode()):
        _register_custom(name.encode(), (_Pointer * 1)(None), None, None, None)


def add_custom_meta(buffer: int, name: str, fields: str) -> None:
    """Add a custom meta with the fields of this text to the buffer at this address."""
    register_custom_meta(name)
    meta = _add_custom(buffer, name.encode())
    assert meta, name
    target = _custom_structure(meta)
    source = _structure_from_string(f"{name}, {fields};".encode(), None)
    assert source, fields

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32, _Pointer, _Pointer)
    def copy(field: int, value: int, _: int) -> int:
        _structure_set_value(target, field, value)
        return 1

    _structure_foreach(source, copy, None)
    _structure_free(source)


def metas_of(buffer: int) -> list[tuple[str, str, int | None]]:
    """Return type, text and timestamp of each meta of the buffer at this address, in order."""
    found: list[tuple[str, str, int | None]] = []
    state = _Pointer(None)
    while meta := _iterate(buffer, ctypes.byref(state)):
        info = meta.contents.info
        name = _g_type_name(info.contents.type).decode()
        if name == "GstReferenceTimestampMeta":
            time = ctypes.cast(meta, ctypes.POINTER(_ReferenceTimestampMeta)).contents
            found.append((name, _caps_to_string(time.reference).decode(), time.timestamp))
        elif _is_custom(info):
            text = _structure_to_string(_custom_structure(ctypes.cast(meta, _Pointer)))
            found.append((name, text.decode(), None))
        else:
            found.append((name, "", None))
    return found
