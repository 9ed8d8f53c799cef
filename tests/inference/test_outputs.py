"""Music goes into files of its own, and all into one where it is asked for."""

import json
import os

import pytest
from musical import part, sequence

from magenta_vae.inference import outputs
from magenta_vae.music import songs

WINDOWS = [sequence(part(f"{name} -*31", name="melody")) for name in ("C4", "D4", "E4")]


def notes(path):
    (instrument,) = songs.read_song(path).instruments
    return list(
        zip(
            *(c.tolist() for c in (instrument.starts, instrument.ends, instrument.pitches)),
            strict=True,
        )
    )


def test_each_is_numbered(tmp_path):
    lines = []
    paths = outputs.write_music(WINDOWS, str(tmp_path / "new"), "tune", report=lines.append)
    assert [os.path.basename(path) for path in paths] == [f"tune-00{n}.mid" for n in range(3)]
    assert sorted(os.listdir(tmp_path / "new")) == [f"tune-00{n}.mid" for n in range(3)]
    assert [notes(path) for path in paths] == [[(0, 32, pitch)] for pitch in (60, 62, 64)]
    assert lines == [f"wrote 3 MIDI files: {paths[0]} ... {paths[-1]}"]


def test_all_one_after_another(tmp_path):
    options = {"continuous": True, "plot": True, "audio": True}
    lines = []
    *_, whole = outputs.write_music(WINDOWS, str(tmp_path), "tune", **options, report=lines.append)
    assert notes(whole) == [(0, 32, 60), (32, 64, 62), (64, 96, 64)]
    names = [f"tune-00{n}.{kind}" for n in range(3) for kind in ("mid", "png", "wav")]
    assert sorted(os.listdir(tmp_path)) == [*names, "tune.mid", "tune.wav"]
    assert lines[-1] == f"wrote them one after another: {tmp_path}/tune.mid"
    sizes = [os.path.getsize(tmp_path / name) for name in ("tune-000.wav", "tune.wav")]
    assert sizes[1] - sizes[0] == pytest.approx(8 * 44_100 * 2, rel=0.05)  # four bars, in 16 bits


@pytest.mark.parametrize("audio, kinds", [(False, ["mid"]), (True, ["mid", "wav"])])
def test_one_piece(tmp_path, audio, kinds):
    path = outputs.write_piece(WINDOWS[0], str(tmp_path / "tune"), audio=audio)
    assert path == str(tmp_path / "tune.mid")
    assert sorted(os.listdir(tmp_path)) == [f"tune.{kind}" for kind in kinds]


def test_the_tempo_and_the_accents_that_are_asked_for(tmp_path):
    windows = [sequence(part("C4 D4 E4*30", name="melody"))]
    plain, asked = (
        outputs.write_music(windows, str(tmp_path / name), "tune", **options)[0]
        for name, options in (("plain", {}), ("asked", {"qpm": 90.0, "accents": True}))
    )
    assert notes(plain) == notes(asked)
    plain, asked = songs.read_song(plain), songs.read_song(asked)
    assert (plain.qpm_at(0), asked.qpm_at(0)) == (120, pytest.approx(90, abs=0.01))
    assert set(plain.instruments[0].velocities) == {80}
    assert asked.instruments[0].velocities[:3].tolist() == [104, 64, 78]


def test_sound_is_as_long_as_its_bars_where_nothing_rings_beyond(tmp_path):
    windows = [sequence(part(text, name="melody")) for text in ("C4 .*15 C4*8", "C4 -*31")]
    for window in windows:
        window.total_quantized_steps, window.total_time = 32, 4.0
    outputs.write_music(windows, str(tmp_path), "tune", audio=True)
    loop, ringing = (os.path.getsize(tmp_path / f"tune-00{n}.wav") - 44 for n in (0, 1))
    assert loop == 2 * 4 * 44_100
    assert loop < ringing < 2 * 5 * 44_100


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_strip(tmp_path, suffix):
    outputs.write_strip(WINDOWS, tmp_path / f"strip.{suffix}")
    assert os.path.getsize(tmp_path / f"strip.{suffix}") > 1000


def test_results_replace_those_of_an_earlier_call(tmp_path):
    mine = tmp_path / "tune-mine.png"
    mine.write_text("not ours")
    options = {"plot": True, "audio": True, "continuous": True, "made_by": {"seed": 0}}
    outputs.write_music(WINDOWS, str(tmp_path), "tune", **options, strip=True)
    assert (tmp_path / "tune.png").is_file()
    outputs.write_music(WINDOWS[:1], str(tmp_path), "other", made_by={})
    outputs.write_music(WINDOWS[1:2], str(tmp_path), "tune", made_by={"seed": 1})
    kept = ["other-000.mid", "other.json", "tune-mine.png"]
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "tune-000.mid", "tune.json"])
    assert notes(tmp_path / "tune-000.mid") == [(0, 32, 62)]


def test_what_fails_leaves_the_earlier_results_as_they_were(tmp_path, monkeypatch):
    outputs.write_music(WINDOWS, str(tmp_path), "tune", made_by={"seed": 0})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(outputs.note_sequences, "concatenate", fail)
    with pytest.raises(OSError, match="the disk is full"):
        outputs.write_music(WINDOWS[:1], str(tmp_path), "tune", continuous=True, made_by={})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_record_removes_nothing_but_music_of_its_name(tmp_path):
    for name in ("tune-x.mid", "precious.mid", "tune-001.txt"):
        (tmp_path / name).write_text("mine")
    outside = tmp_path.parent / "tune-001.mid"
    outside.write_text("mine")
    files = ["../tune-001.mid", "precious.mid", "tune-x.mid", "tune-001.txt", 3]
    (tmp_path / "tune.json").write_text(json.dumps({"files": files[:4]}))
    outputs.write_music(WINDOWS[:1], str(tmp_path), "tune", made_by={})
    (tmp_path / "tune.json").write_text(json.dumps({"files": files}))
    outputs.write_music(WINDOWS[:1], str(tmp_path), "tune", made_by={})
    assert outside.is_file()
    for name in ("tune-x.mid", "precious.mid", "tune-001.txt"):
        assert (tmp_path / name).read_text() == "mine"
