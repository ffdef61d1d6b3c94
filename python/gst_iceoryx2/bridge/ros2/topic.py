"""Parses names of ROS 2 topics. Imports neither numpy nor Zenoh."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..errors import EndpointError

ROS2: Final = "ros2:"
"""Prefix of topics."""

_TOKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RULE: Final = "a topic is absolute, such as /cam0/image_raw, with letters, digits and _ between the slashes"
# Source: RMW_TOPIC_MAX_NAME_LENGTH in rmw/validate_full_topic_name.h, whose check also accepts repeated underscores.
_LENGTH_MAX: Final = 247
_DOMAIN_MAX: Final = 232


class MessageType(NamedTuple):
    """A type of message.

    Attributes:
        name: Its name in ROS 2, such as "sensor_msgs/msg/Image".
        hash: The hash of its definition (REP 2016), which is part of the key.
    """

    name: str
    hash: str

    @property
    def dds_name(self) -> str:
        """Its name on the wire, such as "sensor_msgs::msg::dds_::Image_"."""
        package, _, name = self.name.partition("/msg/")
        return f"{package}::msg::dds_::{name}_"


# rosbags computes the same hashes (a test compares them).
IMAGE: Final = MessageType(
    "sensor_msgs/msg/Image", "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47"
)
COMPRESSED_IMAGE: Final = MessageType(
    "sensor_msgs/msg/CompressedImage", "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a"
)
CAMERA_INFO: Final = MessageType(
    "sensor_msgs/msg/CameraInfo", "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275"
)
FFMPEG_PACKET: Final = MessageType(
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket",
    "RIHS01_648d84e0d33cbf76daf54b094d8f06154b8a24800a19c14371754df799fbaf79",
)
COMPRESSED_VIDEO: Final = MessageType(
    "foxglove_msgs/msg/CompressedVideo", "RIHS01_32039eafc3770e589c86c4dabff9c392ce9955ebffd43f5f60763011d43d8d1d"
)

# Plugins of image_transport name their topics by these endings.
_ENDINGS: Final = {"compressed": COMPRESSED_IMAGE, "ffmpeg": FFMPEG_PACKET, "foxglove": COMPRESSED_VIDEO}


class Topic(NamedTuple):
    """A topic with pictures or packets.

    Attributes:
        name: Its full name, such as "/cam0/image_raw/compressed".
        type: The type of its messages, which the end of the name tells.
    """

    name: str
    type: MessageType

    @classmethod
    def of(cls, name: str) -> Topic:
        """Parse the name of a topic.

        Raises:
            EndpointError: ROS 2 does not allow this name.
        """
        begin, *tokens = name.split("/")
        for token in tokens:
            if not _TOKEN.fullmatch(token):
                raise EndpointError(f"{ROS2}{name} is not a topic, because of {token!r}; {_RULE}")
        if begin or not tokens:
            raise EndpointError(f"{ROS2}{name} is not a topic, because it does not begin with a slash; {_RULE}")
        if len(name) > _LENGTH_MAX:
            raise EndpointError(
                f"{ROS2}{name} is not a topic, because it has {len(name)} characters; use at most {_LENGTH_MAX}"
            )
        return cls(name, _ENDINGS.get(tokens[-1], IMAGE))

    @property
    def has_packets(self) -> bool:
        """Whether the messages are packets of encoded video."""
        return self.type in (FFMPEG_PACKET, COMPRESSED_VIDEO)

    @property
    def camera_info(self) -> str:
        """Name of the topic with the calibration, which is a sibling of the raw pictures' topic."""
        raw = self.name if self.type is IMAGE else self.name.rpartition("/")[0]
        return f"{raw.rpartition('/')[0]}/camera_info"


def domain_of(environment: Mapping[str, str] = os.environ) -> int:
    """Return the ROS domain of this process.

    Raises:
        EndpointError: ROS_DOMAIN_ID is not a number from 0 to 232.
    """
    text = environment.get("ROS_DOMAIN_ID") or "0"
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > _DOMAIN_MAX:
        raise EndpointError(f"ROS_DOMAIN_ID is {text!r}, but must be a number from 0 to {_DOMAIN_MAX}")
    return int(text)
