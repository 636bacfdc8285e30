"""Films with transparent parts show white paper there, and no colours that lie hidden."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pipeline.reading import nvdec
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import number_of, picture


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_what_lies_hidden_in_a_transparent_film_is_white_in_any_order(
    codec: str, tmp_path: Path
) -> None:
    """WebM, as avatars without a background are delivered: green was shown there."""
    path = tmp_path / "cut_out.webm"
    with av.open(str(path), "w") as container:
        options = {"auto-alt-ref": "0", "crf": "8", "b": "2M"}
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        stream.codec_context.gop_size = 10
        for number in range(30):
            rgba = np.dstack([picture(number, 192, 128), np.full((128, 192), 255, np.uint8)])
            rgba[40:80, 120:] = (0, 255, 0, 0)
            drawn = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format="yuva420p")
            drawn.pts, drawn.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(drawn))
        container.mux(stream.encode(None))
    facts = probe_video(path, Limits(), RenderOptions())
    assert facts.frames == 30
    wanted = [*range(30), *range(29, -1, -1), 17, 3, 29]
    frames = list(FrameReader(facts, 2).read(wanted))
    assert [number_of(frame.y) for frame in frames] == wanted
    for frame in frames:
        assert int(frame.y[44:76, 124:].min()) >= 230
        assert abs(frame.u[22:38, 62:].float().mean() - 128) < 2


def test_a_transparent_film_is_not_left_to_a_device_that_knows_no_transparency() -> None:
    assert not {"libvpx", "libvpx-vp9"} & set(nvdec.CODECS)
