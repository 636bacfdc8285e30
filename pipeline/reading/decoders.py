"""What is decoded, and what of it a file holds."""

from __future__ import annotations

from pathlib import Path

from av.stream import Stream

from pipeline.errors import InputUnreadable
from pipeline.reading.encryption import is_encrypted
from schemas.codes import Stage

DECODERS = (
    # picture
    "h264,hevc,av1,libdav1d,vp8,vp9,libvpx,libvpx-vp9,mpeg4,msmpeg4,msmpeg4v2,mpeg1video"
    ",mpeg2video,mjpeg,png,webp,gif,bmp,prores,dnxhd,dvvideo,h263,flv,theora,vc1,wmv1,wmv2,wmv3"
    ",rawvideo,ffv1,huffyuv,ffvhuff,utvideo,qtrle,cfhd,vp6,vp6a,vp6f"
    # sound
    ",aac,aac_fixed,aac_latm,mp1,mp1float,mp2,mp2float,mp3,mp3float,opus,libopus,vorbis,libvorbis,flac,alac"
    ",ac3,eac3,amrnb,amrwb,wmav1,wmav2,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,speex,libspeex,gsm"
    ",gsm_ms,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le"
    ",pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,pcm_dvd,wavpack,tta"
    # sound of telephones and of older recorders
    ",adpcm_yamaha,adpcm_swf,g722,g723_1,g726,g726le,g729,nellymoser,qcelp,evrc,wmapro,wmavoice"
    ",wmalossless,dca"
)
"""libavcodec's names of what is decoded; everything else stays shut."""


def check_decoder(path: Path, stream: Stream, stage: Stage) -> None:
    """Refuse a stream that is encrypted, or whose codec is unknown or not on the list.

    Raises:
        InputUnreadable: names the codec, and what to save the file as.
    """
    if is_encrypted(path, stream.type):
        raise InputUnreadable(
            f"{path.name}: its {stream.type} is encrypted (DRM), and no key is known here; send "
            "it without encryption",
            stage=stage,
        )
    if not has_decoder(stream):
        codec = stream.codec_context
        name = "unknown" if codec is None else codec.name
        raise InputUnreadable(
            f"{path.name}: no decoder for its {stream.type} codec ({name}); save it as "
            + ("AAC, MP3, FLAC or PCM" if stream.type == "audio" else "H.264, HEVC, VP9 or AV1"),
            stage=stage,
            codec=name,
        )


def has_decoder(stream: Stream) -> bool:
    """Whether a stream's codec is known and on the list."""
    codec = stream.codec_context
    return codec is not None and codec.name in DECODERS.split(",")
