"""Scores as MusicXML, made by hand in a line."""

FOUR_FOUR = "<attributes><divisions>4</divisions><time><beats>4</beats>" \
    "<beat-type>4</beat-type></time></attributes>"  # fmt: skip


def note(name, duration, *, inside="", alter=None):
    """Returns a note: 'C4', or 'rest'; durations in sixteenths."""
    if name == "rest":
        what = "<rest/>"
    elif name == "unpitched":
        what = "<unpitched/>"
    else:
        sign = f"<alter>{alter}</alter>" if alter is not None else ""
        what = f"<pitch><step>{name[0]}</step>{sign}<octave>{name[1:]}</octave></pitch>"
    return f"<note>{inside}{what}<duration>{duration}</duration></note>"


def part(*measures, name="P1"):
    inner = "".join(f"<measure number='{i}'>{m}</measure>" for i, m in enumerate(measures))
    return f'<part id="{name}">{inner}</part>'


def score(*parts, part_list=""):
    listed = f"<part-list>{part_list}</part-list>"
    return (
        f"<?xml version='1.0'?><score-partwise>{listed}{''.join(parts)}</score-partwise>".encode()
    )


def notes(song, index=0):
    each = song.instruments[index]
    return sorted(zip(each.starts.tolist(), each.ends.tolist(), each.pitches.tolist(), strict=True))
