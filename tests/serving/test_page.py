"""The page that plays a latent space, in headless Chromium: seen, heard, clicked, dragged."""

import io
import threading
import wave
from urllib.parse import urlsplit

import browsers
import numpy as np
import pytest
from browsers import until
from inference_models import tiny_model

import magenta_vae
from magenta_vae import configuration
from magenta_vae.inference.generation import TrainedModel
from magenta_vae.music import note_sequences
from magenta_vae.serving import web
from magenta_vae.serving.signatures import Signatures
from magenta_vae.workflows import explorer_server, exploring, runs
from magenta_vae.workflows.model_places import find

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("tf2onnx")

MODEL = "mel_2bar"
SONG = configuration.bundled("testdata") / "song-0003.mid"
# Tokens of what is played, and of what the square shows at places.
TOKENS = """places => explorer.decoding.places(explorer.state, places)
    .then(windows => windows.map(window => window.tokens))"""
IS_SETTLED = "globalThis.explorer && explorer.pad.cells.every(Boolean) && explorer.player.isPlaying"


@pytest.fixture(scope="module")
def browser():
    yield from browsers.start()


@pytest.fixture(scope="module")
def shy_browser(browser):
    """A browser that plays no sound before a person has touched the page."""
    chromium = browser.browser_type
    switches = [switch for switch in browsers.SWITCHES if "autoplay" not in switch]
    started = chromium.launch(executable_path=browsers.find(), args=switches)
    yield started
    started.close()


@pytest.fixture(scope="module")
def model():
    return magenta_vae.load(MODEL)


@pytest.fixture(scope="module")
def explored():
    return exploring.explore(runs.open(find(MODEL)))


@pytest.fixture(scope="module")
def server(explored):
    """The address of the page with its server."""
    found, is_ready = [], threading.Event()
    listening = explorer_server.listen("127.0.0.1", 0)
    threading.Thread(
        target=explorer_server.serve,
        args=(
            explored,
            listening,
            "127.0.0.1",
            lambda address: (found.append(address), is_ready.set()),
        ),
        daemon=True,
    ).start()
    assert is_ready.wait(60)
    return found[0]


@pytest.fixture(scope="module")
def exported(explored, tmp_path_factory):
    """The address of the page that is exported, on a static host."""
    folder = tmp_path_factory.mktemp("web") / "page"
    run = runs.open(find(MODEL))
    export_page(run.network, run.settings.window_format, explored.facts, explored.prior, folder)
    yield from browsers.host(folder)


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """The address of the exported page of an untrained model of three tracks, a bar long."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "short.gin").write_text("num_bars = 1\nnum_segments = 1\n")
    network, settings = tiny_model("hierdec_trio_16bar", str(folder / "short.gin"))
    facts = exploring.describe_model(TrainedModel(network, settings.window_format))
    facts |= {"name": "trio", "priors": ["standard"], "attributes": [], "examples": []}
    export_page(network, settings.window_format, facts, None, folder / "page")
    yield from browsers.host(folder / "page")


def export_page(network, window_format, facts, prior, folder):
    why_not = {"encode": "no reader of music is here", "map": "no map is here"}
    facts = {**facts, "can": {"encode": False, "map": False}, "why_not": why_not}
    site = web.Site(exploring.page_folder(), facts, None, prior)
    web.write(Signatures(network, window_format), site, folder, "")


class Opened:
    """A page, and all that it asked for and complained of."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(address)
        until(self.page, IS_SETTLED)

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def downloaded(self, selector):
        """Returns the bytes and the name of a file that a click gives."""
        with self.page.expect_download() as waiting:
            self.page.click(selector)
        download = waiting.value
        with open(download.path(), "rb") as file:
            return file.read(), download.suggested_filename


@pytest.fixture
def open_page(browser):
    opened = []

    def open_(address, **options):
        opened.append(Opened(browser, address, **options))
        return opened[-1]

    yield open_
    for each in opened:
        each.context.close()
        assert not each.complaints


def shown(page):
    """Returns the notes that are played, as (track, pitch, start, end)."""
    return page.evaluate("explorer.shown.map(notes => notes.map(n => [n.pitch, n.start, n.end]))")


def wait_for_map(page):
    """Waits for what is asked for last."""
    until(page, "explorer.mapPanel.map")


def place(page, x, y):
    """Returns the pixels of a place of the square."""
    box = page.locator("#pad").bounding_box()
    across, down = (0.07 + value * 0.86 for value in (x, y))
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def in_music(model, windows):
    """Returns windows of tokens as their notes are read: a hold with nothing to hold is a rest."""
    kind = model.window_format
    return [kind.tokenize(kind.detokenize(np.array(tokens))).tolist() for tokens in windows]


def read_back(model, content, tmp_path):
    path = tmp_path / "downloaded.mid"
    path.write_bytes(content)
    return model.tokenize(str(path))


def test_it_sounds_and_asks_nobody_else(open_page, server):
    opened = open_page(server)
    until(opened.page, "explorer.player.level() > -40")
    wait_for_map(opened.page)
    assert {urlsplit(url).netloc for url in opened.asked if not url.startswith("blob:")} == {
        urlsplit(server).netloc
    }
    opened.page.keyboard.press("Escape")
    opened.page.click("#play")
    until(opened.page, "!(explorer.player.level() > -60)")


def test_a_seed_gives_the_command_lines_music(open_page, server, model, tmp_path):
    page = open_page(f"{server}#seed=7&corners=d.data.7,d.data.2,d.standard.7,d.data.4&at=0,0").page
    [sampled] = model.decode_tokens(model.sample_z(1, seed=7, prior="data"), 0.5, seed=7)[:1]
    assert page.evaluate(TOKENS, [{"x": 0, "y": 0}])[0] == sampled.tolist()
    [standard] = model.decode_tokens(model.sample_z(1, seed=7), 0.5, seed=7)
    assert page.evaluate(TOKENS, [{"x": 0, "y": 1}])[0] == standard.tolist()


def test_downloads_are_what_is_heard(open_page, server, model, tmp_path):
    opened = open_page(f"{server}#tempo=90&at=0.5,0.5")
    content, name = opened.downloaded("#midi")
    [heard] = opened.page.evaluate(TOKENS, [{"x": 0.5, "y": 0.5}])
    assert read_back(model, content, tmp_path).tolist() == in_music(model, [heard])
    assert name == f"{MODEL}-at-0.50-0.50-seed0.mid"
    reading = model.read(str(tmp_path / "downloaded.mid"))
    assert reading.playbacks[0].qpm == pytest.approx(90, abs=0.01)
    sound, _ = opened.downloaded("#wav")
    with wave.open(io.BytesIO(sound)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15
        seconds = file.getnframes() / file.getframerate()
    assert seconds == pytest.approx(8 * 60 / 90, abs=0.01)  # Whole bars, so that the file loops.
    assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5 and np.abs(samples).max() < 1


def test_dragging_plays_what_is_there_from_the_next_bar_without_a_gap(open_page, server):
    page = open_page(server).page
    page.evaluate("""() => {
        const { player } = explorer;
        player.changes = [];
        player.times = [];
        let sequence = player.sequence;
        Object.defineProperty(player, 'sequence', {
            get: () => sequence,
            set: (windows) => {
                player.changes.push(player.step % 16);
                sequence = windows;
            },
        });
        setInterval(() => player.times.push(...player.scheduled.map(({ time }) => time)), 50);
    }""")
    before = shown(page)
    page.mouse.move(*place(page, 0, 0))
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(*place(page, step / 8, step / 8 * 0.7))
        page.wait_for_timeout(60)
    page.mouse.up()
    assert page.inner_text("#what") == "Between the corners, at 1.00, 0.70"
    assert shown(page) != before
    until(page, "!explorer.player.pending && explorer.player.changes.length")
    assert page.evaluate("explorer.player.sequence === explorer.shown")
    assert set(page.evaluate("explorer.player.changes")) == {0}
    page.wait_for_timeout(300)
    times = np.unique(np.array(page.evaluate("explorer.player.times")))
    assert len(times) > 8
    np.testing.assert_allclose(np.diff(times), 0.125, atol=0.002)


def file_of(tmp_path, num_bars, chord):
    """Returns the bytes of a MIDI file with a chord on every beat."""
    music = note_sequences.empty_note_sequence(num_steps=16 * num_bars)
    steps = np.repeat(np.arange(0, 16 * num_bars, 4), len(chord))
    note_sequences.add_notes(music, steps, steps + 4, np.tile(chord, 4 * num_bars))
    note_sequences.write_midi(music, tmp_path / "made.mid")
    return (tmp_path / "made.mid").read_bytes()


def test_a_request_that_is_given_up_while_its_answer_comes_is_given_up(open_page, server):
    page = open_page(server).page
    name = page.evaluate(
        """async () => {
            const { open } = await import('./backend_server.js');
            const backend = await open();
            const whole = window.fetch;
            const text = () => Promise.reject(new DOMException('given up', 'AbortError'));
            window.fetch = async () => ({ ok: true, status: 200, text });
            const given = await backend.decode([], 1, 0).catch((error) => error.name);
            window.fetch = whole;
            return given;
        }"""
    )
    assert name == "AbortError"


def test_files_are_dropped_on_corners(open_page, server, model, tmp_path):
    opened = open_page(server)
    page, content = opened.page, SONG.read_bytes()
    page.evaluate(
        """([bytes, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name));
            document.querySelectorAll('.corner')[1].dispatchEvent(
                new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [list(content), SONG.name],
    )
    until(page, "explorer.state.corners[1].kind === 'point'")
    reading = model.read(str(SONG))
    point = page.evaluate("explorer.state.corners[1].point")
    np.testing.assert_allclose(point, model.encode(reading[:1])[0], atol=1e-5)
    title = page.locator(".corner").nth(1).locator("strong").inner_text()
    assert title == f"{SONG.name}, bars 1-2"
    assert page.input_value("#tempo") == str(round(reading.playbacks[0].qpm))
    bars = page.locator(".corner").nth(1).locator("[data-part=bars]")
    bars.select_option("1")
    until(page, "explorer.state.corners[1].title.endsWith('bars 3-4')")
    # A file that is longer than the windows of one answer.
    long = {"name": "long.mid", "mimeType": "audio/midi", "buffer": file_of(tmp_path, 40, [60])}
    page.set_input_files(".corner:nth-of-type(2) input[type=file]", long)
    until(page, "explorer.state.corners[1].title === 'long.mid, bars 1-2'")
    bars.select_option("later")
    until(page, "explorer.state.corners[1].title === 'long.mid, bars 33-34'")
    bars.select_option("earlier")
    until(page, "explorer.state.corners[1].title === 'long.mid, bars 1-2'")
    page.set_input_files(".corner:nth-of-type(1) input[type=file]", SONG)
    until(page, "explorer.state.corners[0].kind === 'point'")
    chords = {
        "name": "chords.mid",
        "mimeType": "audio/midi",
        "buffer": file_of(tmp_path, 2, [60, 64, 67]),
    }
    page.set_input_files(".corner:nth-of-type(3) input[type=file]", chords)
    until(page, "explorer.state.corners[2].kind === 'point'")
    words = "Of its chords the highest notes were read"
    until(page, f"document.querySelector('#message').textContent.includes('{words}')")
    opened.complaints.clear()  # The first answer was a refusal.
    page.set_input_files(
        ".corner:nth-of-type(1) input[type=file]",
        {"name": "notes.mid", "mimeType": "audio/midi", "buffer": b"no music"},
    )
    until(page, "document.querySelector('#message').classList.contains('wrong')")
    assert "notes.mid" in page.inner_text("#message")
    assert page.evaluate("explorer.state.corners[0].kind") == "point"  # What was there stays.
    [complaint] = opened.complaints
    assert "422" in complaint
    opened.complaints.clear()


def test_corners_are_rolled_locked_and_undone(open_page, server):
    page = open_page(server).page
    card = page.locator(".corner").nth(2)
    seeds = "explorer.state.corners.map(corner => corner.seed)"
    before = page.evaluate(seeds)
    card.get_by_role("button", name="Lock").click()
    page.keyboard.press("r")
    until(page, IS_SETTLED)
    rolled = page.evaluate(seeds)
    assert [a == b for a, b in zip(before, rolled, strict=True)] == [False, False, True, False]
    assert card.get_by_role("button", name="Roll").is_disabled()
    page.keyboard.press("3")
    assert "locked" in page.inner_text("#message")
    page.locator(".corner").nth(0).get_by_role("button", name="Undo").click()
    assert page.evaluate(seeds)[0] == before[0]
    until(page, IS_SETTLED)


def test_attributes_do_what_they_say(open_page, server):
    page = open_page(f"{server}#at=1,0.5").page
    measured = page.locator(".slider").nth(0).locator(".measured")
    values = []
    for strength in (-1, 0, 1.5):
        slider = page.locator("#attribute-note_density")
        slider.fill(str(strength))
        until(page, IS_SETTLED)
        values.append(float(measured.inner_text().split()[0]))
    assert values == sorted(values) and values[0] < values[-1]


def test_temperature_and_seed_draw_other_music(open_page, server):
    page = open_page(f"{server}#at=0.5,0.5").page
    first = shown(page)
    page.fill("#seed", "5")
    page.press("#seed", "Enter")
    until(page, IS_SETTLED)
    second = shown(page)
    page.fill("#temperature", "1.5")
    until(page, IS_SETTLED)
    assert first != second != shown(page) != first
    page.fill("#seed", "-1")
    page.press("#seed", "Enter")
    assert "Received: -1" in page.inner_text("#message") and page.input_value("#seed") == "5"


def test_a_link_gives_the_same_music_again(open_page, server):
    page = open_page(server).page
    page.set_input_files(".corner:nth-of-type(1) input[type=file]", SONG)
    until(page, "explorer.state.corners[0].kind === 'point'")
    page.locator("#attribute-pitch_range").fill("0.7")
    page.mouse.click(*place(page, 0.3, 0.8))
    until(page, IS_SETTLED)
    page.wait_for_timeout(200)
    until(page, "!explorer.decoding.isAsking")
    again = open_page(page.evaluate("explorer.link()")).page
    assert shown(again) == shown(page)
    assert again.inner_text("#what") == page.inner_text("#what")
    other = open_page(f"{server}#model=other&seed=3").page
    assert "The link is of the model other" in other.inner_text("#message")


def test_a_path_is_played_as_a_journey(open_page, server, model, tmp_path):
    opened = open_page(server)
    page = opened.page
    page.keyboard.press("j")
    page.mouse.move(*place(page, 0, 0))
    page.mouse.down()
    for x, y in ((0.5, 0.2), (1, 0.5), (1, 1)):
        page.mouse.move(*place(page, x, y), steps=5)
    page.mouse.up()
    until(page, "explorer.shown.length === 8")
    windows = page.evaluate("explorer.decoding.places(explorer.state, explorer.state.journey)")
    content, name = opened.downloaded("#midi")
    tokens = read_back(model, content, tmp_path)
    assert tokens.tolist() == in_music(model, [window["tokens"] for window in windows])
    assert name == f"{MODEL}-journey-seed0.mid"
    again = open_page(page.evaluate("explorer.link()")).page
    assert shown(again) == shown(page)
    page.keyboard.press("Escape")
    until(page, "explorer.shown.length === 1")


def test_dots_of_the_map_are_played_and_pinned(open_page, server):
    page = open_page(server).page
    wait_for_map(page)
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    title = page.inner_text("#what")
    assert "bars" in title  # Of a held-out song, which the map of the model names.
    until(page, "!explorer.decoding.isAsking")
    assert title in page.inner_text("#nearest") and "(0.0 away)" in page.inner_text("#nearest")
    page.click("#map-corners button:nth-of-type(4)")
    assert page.evaluate("explorer.state.corners[3].title") == title


def test_keys_play_and_move(open_page, server):
    page = open_page(server, viewport={"width": 390, "height": 844}).page
    page.focus("#pad")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[explorer.state.where.x, explorer.state.where.y]") == [
        pytest.approx(1 / 12),
        pytest.approx(1 / 12),
    ]
    page.keyboard.press(" ")
    assert not page.evaluate("explorer.player.isPlaying")
    # Nothing is wider than a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_both_backends_give_the_same_tokens(open_page, server, exported):
    pages = open_page(server).page, open_page(exported).page
    ask = """([points, temperature, seed]) =>
        explorer.backend.decode(points, temperature, seed)
            .then(({ windows, points }) => [windows.map(w => [w.tokens, w.notes]), points])"""
    dice = [
        {"prior": prior, "seed": 11, "index": i} for prior in ("data", "standard") for i in (0, 5)
    ]
    for points, temperature, seed in ((dice, 0.5, 3), (dice, 1.0, [3, 3 + 2**32, 9, 2**32 - 1])):
        (ours, points_of_server), (theirs, points_of_page) = (
            page.evaluate(ask, [points, temperature, seed]) for page in pages
        )
        assert ours == theirs
        np.testing.assert_allclose(points_of_server, points_of_page, atol=2e-6)
    way = (
        "points => explorer.backend.path(points, 5, 0.5, 1).then(a => a.windows.map(w => w.tokens))"
    )
    for ends in (dice[:2], dice):
        ours, theirs = (page.evaluate(way, ends) for page in pages)
        assert ours == theirs and len(ours) == (5 if len(ends) == 2 else 25)
    exported_page = pages[1]
    assert shown(pages[0]) == shown(exported_page)
    assert not exported_page.locator("[data-part=open]").nth(0).is_visible()
    assert exported_page.inner_text("#map-what") == "no map is here"


def test_tracks_are_muted_and_heard_alone(open_page, trio):
    opened = open_page(trio)
    page = opened.page
    until(page, "explorer.player.level() > -60")
    audible = "explorer.player.audible"
    page.get_by_role("button", name="Mute bass").click()
    assert page.evaluate(audible) == [True, False, True]
    page.get_by_role("button", name="Solo drums").click()
    assert page.evaluate(audible) == [False, False, True]
    again = open_page(page.evaluate("explorer.link()")).page
    assert again.evaluate(audible) == [False, False, True]
    page.get_by_role("button", name="Solo drums").click()
    for name in ("lead", "bass", "drums"):
        page.get_by_role("button", name=f"Mute {name}").click()
    assert not any(page.evaluate(audible))
    until(page, "!(explorer.player.level() > -90)")
    content, _ = opened.downloaded("#midi")  # A file has all tracks.
    assert all(name.encode() in content for name in ("lead", "bass", "drums"))


def test_rolling_while_dragging_and_journeying_is_no_error(open_page, server):
    page = open_page(server).page
    page.mouse.move(*place(page, 0, 0))
    page.mouse.down()
    for step in range(12):
        page.keyboard.press("r" if step % 2 else "2")
        page.mouse.move(*place(page, step / 11, 1 - step / 11))
    page.mouse.up()
    page.evaluate("""() => {
        explorer.startJourney([{ x: 0, y: 0 }, { x: 1, y: 1 }]);
        explorer.rollCorners([0, 3]);
        document.querySelector('#map-corners button:nth-of-type(2)')?.click();
    }""")
    until(page, "explorer.pad.cells.every(Boolean) && explorer.shown.length === 2")
    assert page.evaluate("document.querySelector('#message.wrong') === null")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("attributes=toString:1", "none of this model"),
        ("attributes=note_density:9", "none of this model"),
        ("corners=d.data.1,d.data.2,d.data.3", "four corners. Received: 3"),
        ("corners=d.other.1,d.data.2,d.data.3,d.data.4", "the prior other"),
        ("corners=p.AAAAAA.x,d.data.2,d.data.3,d.data.4", "must have 128 numbers"),
        ("point=%%%.x", "is damaged"),
        ("at=9,9", "two numbers of 0 to 1. Received: 9,9"),
        ("temperature=7", "0.05 to 1.5. Received: 7"),
        ("journey=" + ";".join(["0,0"] * 99), "2 to 64 places. Received: 99"),
    ],
)
def test_a_damaged_link_is_named_and_the_page_plays(open_page, exported, link, said):
    page = open_page(f"{exported}#{link}").page
    assert said in page.inner_text("#message")
    assert page.evaluate("document.querySelector('#message.wrong') !== null")


def test_a_touch_starts_the_sound_where_browsers_ask_for_one(shy_browser, exported):
    context = shy_browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    session = context.new_cdp_session(page)

    def wait_until(expression):
        """Not as Playwright asks, which counts as a person's touch."""
        for _ in range(600):
            answer = session.send("Runtime.evaluate", {"expression": expression})["result"]
            if answer.get("value") is True:
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    page.goto(exported)
    wait_until("document.getElementById('message').textContent.startsWith('Press Play, or click')")
    wait_until("!explorer.player.mayStart")
    page.touchscreen.tap(100, 20)
    wait_until("explorer.player.isPlaying && explorer.player.level() > -60")
    wait_until("document.getElementById('message').textContent === ''")
    context.close()
