"""The decoder of a film with transparent parts.

In WebM transparency is a second film beside the first, which libvpx alone reads (webmproject.org,
"Alpha channel"); the usual decoder shows whatever colours lie hidden there.
"""

from __future__ import annotations

from typing import cast

import av
from av import VideoFrame
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """What decodes a stream: its own context, or one that reads transparency, too.

    Whoever seeks in the container must flush the latter.
    """
    own = stream.codec_context
    name = _DECODERS.get(own.codec.canonical_name)
    said = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or said.get("alpha_mode") != "1":
        return own
    try:
        made = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    except av.FFmpegError:  # a build without libvpx
        return own
    made.extradata = own.extradata
    made.width, made.height = own.width, own.height
    return made


def decoded(codec: VideoCodecContext, packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The pictures that a packet of a stream brings out of what `decoder_of` gave for it.

    Raises:
        FFmpegError, OSError: it is damaged.
    """
    if codec is packet.stream.codec_context:
        return packet.decode()
    return codec.decode(packet if packet.size else None)
