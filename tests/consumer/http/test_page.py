"""The page works in a real browser, on a desk and on a phone, under its strict policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.settings import Settings
from consumer.settings.load import load
from schemas.engines import ENGINES
from tests.consumer.http.echo_render import HOLD, RENDERER
from tests.consumer.http.stand import Gateway, gateway, service
from tests.support.chromium import PATH, Tab, chromium
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.media import Clip, Tone, write_clip

pytestmark = [
    pytest.mark.skipif(PATH is None, reason="needs chromium (Debian: apt install chromium)"),
    pytest.mark.slow,
]
SIZES = [pytest.param((1280, 900, False), id="desk"), pytest.param((390, 844, True), id="phone")]


@pytest.fixture
def settings(kafka: KafkaHandle, s3: S3Handle, service_env: dict[str, str]) -> Settings:
    kafka.create_topics()
    return load({**service_env, "F2F_MIN_FREE_BYTES": "0"})


@pytest.fixture
async def bridge(settings: Settings) -> AsyncIterator[Gateway]:
    async with service(settings, RENDERER), gateway(settings) as made:
        yield made


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with chromium(tmp_path / "profile") as made:
        yield made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "face.mp4", Clip(320, 240, frames=50, sound=Tone(2.0)))


async def _fits(tab: Tab) -> None:
    assert await tab.eval("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", SIZES)
async def test_two_files_become_a_video_beside_its_reference(
    size: tuple[int, int, bool],
    bridge: Gateway,
    tab: Tab,
    clip: Path,
    settings: Settings,
    tmp_path: Path,
) -> None:
    hold = settings.data_dir / HOLD
    hold.touch()
    width, height, phone = size
    await tab.size(width, height, phone=phone)
    await tab.go(bridge.url)
    await _fits(tab)
    assert await tab.eval("document.getElementById('go').disabled")
    await tab.shot(tmp_path / "1-empty.png")
    await tab.choose("#video", clip)
    await tab.choose("#audio", clip)
    await tab.until("document.querySelector('#drop-video video').readyState >= 1")
    await tab.eval("document.getElementById('go').click()")
    await tab.until("document.getElementById('stage').textContent === 'Rendering'")
    await tab.shot(tmp_path / "2-running.png")
    hold.unlink()
    await tab.until("!document.getElementById('done').hidden")
    await tab.until("document.getElementById('result').readyState >= 2")
    assert abs(await tab.eval("document.getElementById('result').duration") - 2.0) < 0.2
    assert await tab.eval("document.querySelector('#before video').videoWidth") == 320
    text = await tab.eval("document.getElementById('done').innerText")
    for said in ("320 × 240", "25 fps", "viseme", "generate", "sharpness", "AIGC", "10 to 19"):
        assert said in text, said
    await _fits(tab)
    await tab.shot(tmp_path / "3-done.png")
    assert tab.complaints == []


async def test_a_screen_reader_names_every_part_and_is_told_of_the_end(
    bridge: Gateway, tab: Tab, clip: Path, tmp_path: Path
) -> None:
    """Bars and players had no names, each percent was read out, and the end was not."""
    await tab.go(bridge.url)
    await tab.eval("document.querySelectorAll('[hidden]').forEach((part) => part.hidden = false)")
    assert await _nameless(tab) == []
    await tab.go(bridge.url)
    hebrew = clip.rename(tmp_path / "פנים 12.mp4")
    await tab.choose("#video", hebrew)
    await tab.choose("#audio", hebrew)
    assert await tab.eval("document.querySelector('.name bdi').textContent") == hebrew.name
    await tab.eval("document.getElementById('go').click()")
    await tab.until("document.activeElement.id === 'done'")
    assert await _nameless(tab) == []
    spoken = await tab.eval("document.querySelector('[role=status]').textContent")
    assert "%" not in spoken


async def _nameless(tab: Tab) -> list[str]:
    """The roles of what is shown and has no name for who does not see it."""
    tree = await tab.call("Accessibility.getFullAXTree")
    roles = {"progressbar", "meter", "Video", "Audio", "image", "button", "link", "textbox"}
    return [
        node["role"]["value"]
        for node in tree["nodes"]
        if not node["ignored"] and node["role"]["value"] in roles and not node["name"]["value"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_weak_eyes_see_where_something_is_to_be_filled_in(
    bridge: Gateway, tab: Tab, scheme: str
) -> None:
    """The edges of fields had a contrast of 1.4; WCAG 2.2 (1.4.11) asks for 3."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await tab.call("Emulation.setEmulatedMedia", features=features)
    await tab.go(bridge.url)
    contrasts = await tab.eval("""(() => {
      const light = (colour) => colour.match(/[0-9.]+/g).slice(0, 3)
        .map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
        .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
      const parts = document.querySelectorAll('.drop, .options input, .options select');
      return [...parts].map((part) => {
        const style = getComputedStyle(part);
        const both = [style.borderTopColor, style.backgroundColor].map(light);
        both.sort((a, b) => a - b);
        return (both[1] + .05) / (both[0] + .05);
      });
    })()""")
    assert len(contrasts) == 6
    assert min(contrasts) >= 3


async def test_the_page_offers_every_engine_and_leaves_no_hole_between_its_facts(
    bridge: Gateway, tab: Tab
) -> None:
    await tab.size(1280, 900)
    await tab.go(bridge.url)
    offered = await tab.eval("[...document.querySelectorAll('#engines option')].map(o => o.value)")
    assert offered == list(ENGINES)
    heights = await tab.eval("""(() => {
      document.getElementById('done').hidden = false;
      const whole = document.querySelector('.facts'), row = '<dt>a</dt><dd>b</dd>';
      const cards = [...whole.children], rows = [1, 2, 20, 1];
      cards.forEach((card, n) => { card.lastChild.innerHTML = row.repeat(rows[n]); });
      return [whole.clientHeight, ...cards.map((card) => card.offsetHeight)];
    })()""")
    whole, *cards = heights
    assert whole <= max(cards) + 20, "a short card never waits below the highest one"


async def test_what_is_not_media_is_said_on_the_page(
    bridge: Gateway, tab: Tab, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "speech.wav").write_text("not a sound")
    await tab.size(390, 844, phone=True)
    await tab.go(bridge.url)
    await tab.choose("#video", clip)
    await tab.choose("#audio", tmp_path / "speech.wav")
    await tab.eval("document.getElementById('go').click()")
    await tab.until("!document.getElementById('trouble').hidden")
    assert await tab.eval("document.getElementById('code').textContent") == "INPUT_UNREADABLE"
    assert not await tab.eval("document.getElementById('go').disabled"), "one may try again"
    await _fits(tab)
    await tab.shot(tmp_path / "trouble.png")


async def test_the_page_asks_for_the_key_and_uses_it(
    settings: Settings, tab: Tab, clip: Path
) -> None:
    from pydantic import SecretStr

    locked = settings.model_copy(update={"api_key": SecretStr("k-1")})
    async with service(locked, RENDERER), gateway(locked) as made:
        await tab.go(made.url)
        await tab.choose("#video", clip)
        await tab.choose("#audio", clip)
        await tab.eval("document.getElementById('go').click()")
        await tab.until("!document.getElementById('trouble').hidden")
        assert await tab.eval("document.activeElement.id") == "key"
        await tab.eval("document.getElementById('key').value = 'k-1'")
        await tab.eval("document.getElementById('go').click()")
        await tab.until("!document.getElementById('done').hidden")
        await tab.until("document.getElementById('result').readyState >= 2")


@pytest.mark.parametrize("size", SIZES)
async def test_the_documentation_shows_every_route_without_anything_from_elsewhere(
    size: tuple[int, int, bool], bridge: Gateway, tab: Tab, tmp_path: Path
) -> None:
    await tab.size(size[0], size[1], phone=size[2])
    await tab.go(f"{bridge.url}/docs")
    await tab.until("document.querySelectorAll('#shapes .route').length > 5")
    text = await tab.eval("document.getElementById('routes').innerText")
    for path in ("/api/generate_video", "/v1/jobs/{job_id}/events", "/readyz"):
        assert path in text
    shapes = await tab.eval("document.getElementById('shapes').textContent")
    assert '"NO_VIDEO" | "NO_AUDIO"' in shapes
    assert '"INTERNAL" | …' in shapes, "later releases may have more"
    await tab.eval("document.querySelector('.route').open = true")
    await _fits(tab)
    await tab.shot(tmp_path / "docs.png")
    assert tab.complaints == []
