"""The structures and numbers of Video4Linux2 are those of the kernel's header."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gst_iceoryx2.feed.v4l2 import api

STRUCTURES = {
    "v4l2_capability": api.Capability,
    "v4l2_fmtdesc": api.FormatDescription,
    "v4l2_frmsizeenum": api.FrameSize,
    "v4l2_frmivalenum": api.FrameInterval,
    "v4l2_format": api.Format,
    "v4l2_pix_format": api.PixFormat,
    "v4l2_streamparm": api.StreamParameters,
    "v4l2_requestbuffers": api.BufferRequest,
    "v4l2_buffer": api.Buffer,
    "v4l2_query_ext_ctrl": api.ControlQuery,
    "v4l2_querymenu": api.MenuItem,
    "v4l2_control": api.Control,
}
OFFSETS = {
    "v4l2_format, fmt.pix.priv": api.Format.fmt.offset + api.PixFormat.priv.offset,
    "v4l2_streamparm, parm.capture.timeperframe.denominator": api.StreamParameters.denominator.offset,
    "v4l2_buffer, timestamp": api.Buffer.seconds.offset,
    "v4l2_buffer, sequence": api.Buffer.sequence.offset,
    "v4l2_buffer, m": api.Buffer.m.offset,
    "v4l2_buffer, length": api.Buffer.length.offset,
    "v4l2_frmivalenum, discrete": api.FrameInterval.values.offset,
    "v4l2_query_ext_ctrl, flags": api.ControlQuery.flags.offset,
    "v4l2_querymenu, name": api.MenuItem.text.offset,
}
NUMBERS = {
    "VIDIOC_QUERYCAP": api.QUERY_CAPABILITY.number,
    "VIDIOC_ENUM_FMT": api.ENUM_FORMAT.number,
    "VIDIOC_G_FMT": api.GET_FORMAT.number,
    "VIDIOC_S_FMT": api.SET_FORMAT.number,
    "VIDIOC_REQBUFS": api.REQUEST_BUFFERS.number,
    "VIDIOC_QUERYBUF": api.QUERY_BUFFER.number,
    "VIDIOC_QBUF": api.QUEUE.number,
    "VIDIOC_DQBUF": api.DEQUEUE.number,
    "VIDIOC_STREAMON": api.STREAM_ON.number,
    "VIDIOC_STREAMOFF": api.STREAM_OFF.number,
    "VIDIOC_G_PARM": api.GET_PARAMETERS.number,
    "VIDIOC_S_PARM": api.SET_PARAMETERS.number,
    "VIDIOC_G_CTRL": api.GET_CONTROL.number,
    "VIDIOC_S_CTRL": api.SET_CONTROL.number,
    "VIDIOC_QUERYMENU": api.QUERY_MENU.number,
    "VIDIOC_ENUM_FRAMESIZES": api.ENUM_FRAME_SIZES.number,
    "VIDIOC_ENUM_FRAMEINTERVALS": api.ENUM_FRAME_INTERVALS.number,
    "VIDIOC_QUERY_EXT_CTRL": api.QUERY_CONTROL.number,
    "V4L2_CAP_TIMEPERFRAME": api.CAP_TIME_PER_FRAME,
    "V4L2_CAP_VIDEO_CAPTURE": api.CAP_VIDEO_CAPTURE,
    "V4L2_CAP_VIDEO_CAPTURE_MPLANE": api.CAP_VIDEO_CAPTURE_MPLANE,
    "V4L2_CAP_STREAMING": api.CAP_STREAMING,
    "V4L2_CAP_DEVICE_CAPS": api.CAP_DEVICE_CAPS,
    "V4L2_PIX_FMT_PRIV_MAGIC": api.EXTENDED_FIELDS,
    "V4L2_FIELD_INTERLACED_TB": api.FIELD_INTERLACED_TB,
    "V4L2_FIELD_INTERLACED_BT": api.FIELD_INTERLACED_BT,
    "V4L2_BUF_FLAG_ERROR": api.BUFFER_ERROR,
    "V4L2_BUF_FLAG_TIMESTAMP_MASK": api.BUFFER_CLOCK_MASK,
    "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC": api.BUFFER_CLOCK_MONOTONIC,
    "V4L2_CTRL_TYPE_INTEGER_MENU": api.INTEGER_MENU,
    "V4L2_CTRL_TYPE_BITMASK": api.BITMASK,
    "V4L2_CTRL_FLAG_INACTIVE": api.CONTROL_INACTIVE,
    "V4L2_CTRL_FLAG_NEXT_CTRL": api.CONTROL_NEXT,
}


def test_structures_and_numbers_are_the_kernels(tmp_path: Path) -> None:
    if shutil.which("cc") is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("there is no C compiler or no kernel header on this machine")
    lines = [f'printf("%zu\\n", sizeof(struct {name}));' for name in STRUCTURES]
    lines += [f'printf("%zu\\n", offsetof(struct {name}));' for name in OFFSETS]
    lines += [f'printf("%lu\\n", (unsigned long) {name});' for name in NUMBERS]
    source = tmp_path / "numbers.c"
    source.write_text(
        "#include <linux/videodev2.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n"
        + "\n".join(lines)
        + "\nreturn 0; }\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "numbers", source], check=True)
    printed = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True, text=True).stdout
    wanted = [*map(ctypes.sizeof, STRUCTURES.values()), *OFFSETS.values(), *NUMBERS.values()]
    names = [*STRUCTURES, *OFFSETS, *NUMBERS]
    assert dict(zip(names, map(int, re.findall(r"\d+", printed)), strict=True)) == dict(zip(names, wanted, strict=True))
