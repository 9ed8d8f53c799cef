// Tokens -> notes, and what is measured of them, as the package's `music` reads its vocabularies.

/** Returns the pitch that each class writes: a Map of token -> pitch. */
function writtenPitches(track) {
  return new Map(Object.entries(track.onsets).map(([token, pitches]) => [Number(token), pitches[0]]));
}

/** Returns the hits of a token of drums, as pitches. */
function hitsOf(written, token) {
  return [...written].filter(([bit]) => token & bit).map(([, pitch]) => pitch);
}

/**
 * Returns the notes of a window: {track, pitch, start, end, velocity}, in steps.
 * Tokens are rows of a class for each track. What sustains nothing is a rest.
 */
export function notesOf(tokens, tracks) {
  return tracks.flatMap((track, index) => {
    const written = writtenPitches(track);
    const column = tokens.map((row) => row[index]);
    const note = (pitch, start, end) => ({ track: index, pitch, start, end, velocity: 80 });
    if (track.is_drum) {
      return column.flatMap((token, step) =>
        hitsOf(written, token).map((pitch) => note(pitch, step, step + 1)));
    }
    const changes = [...column.keys()].filter((step) => column[step] !== track.sustain);
    return changes.flatMap((start, i) => {
      const pitch = written.get(column[start]);
      return pitch === undefined ? [] : [note(pitch, start, changes[i + 1] ?? column.length)];
    });
  });
}

/** Returns the track that attributes are measured of: the first that is no drums, else the first. */
export function measuredTrack(tracks) {
  return Math.max(0, tracks.findIndex((track) => !track.is_drum));
}

const share = (part, whole) => (whole ? part / whole : NaN);

function onsetSteps(notes) {
  return [...new Set(notes.map((note) => note.start))].sort((a, b) => a - b);
}

/** Returns the share of starts at step % period == distance with no start `distance` before. */
function syncopation(notes, distance, period) {
  const starts = onsetSteps(notes);
  const taken = new Set(starts);
  const isOffBeat = (step) => step % period === distance && !taken.has(step - distance);
  return share(starts.filter(isOffBeat).length, starts.length);
}

const MEASURES = {
  note_density: (notes, numBars) => notes.length / numBars,
  average_interval: (notes) => {
    const pitches = notes.map((note) => note.pitch);
    const intervals = pitches.slice(1).map((pitch, i) => Math.abs(pitch - pitches[i]));
    return share(intervals.reduce((sum, value) => sum + value, 0), intervals.length);
  },
  eighth_syncopation: (notes) => syncopation(notes, 2, 4),
  sixteenth_syncopation: (notes) => syncopation(notes, 1, 2),
  pitch_range: (notes) => {
    const pitches = notes.map((note) => note.pitch);
    return pitches.length ? Math.max(...pitches) - Math.min(...pitches) : NaN;
  },
};

/** Returns an attribute of a window's notes, NaN where it has none (see `music/attributes`). */
export function measure(name, notes, tracks, numBars) {
  const index = measuredTrack(tracks);
  return MEASURES[name]?.(notes.filter((note) => note.track === index), numBars) ?? NaN;
}

const PITCH_NAMES = ['C', 'C♯', 'D', 'E♭', 'E', 'F', 'F♯', 'G', 'A♭', 'A', 'B♭', 'B'];

/** Returns the name of a pitch: 60 is C4. */
export function pitchName(pitch) {
  return `${PITCH_NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

const HIT_NAMES = {
  35: 'kick', 36: 'kick', 38: 'snare', 40: 'snare', 42: 'closed hat', 44: 'pedal hat', 46: 'open hat',
  41: 'floor tom', 43: 'floor tom', 45: 'low tom', 47: 'mid tom', 48: 'mid tom', 50: 'high tom',
  49: 'crash', 57: 'crash', 51: 'ride', 53: 'ride bell', 59: 'ride',
};

export function hitName(pitch) {
  return HIT_NAMES[pitch] ?? `drum ${pitch}`;
}

/** Returns a window in words, for those who do not see its picture. */
export function describe(notes, tracks) {
  return tracks.map((track, index) => {
    const own = notes.filter((note) => note.track === index);
    if (!own.length) return `${track.name}: silent`;
    if (track.is_drum) return `${track.name}: ${own.length} hits`;
    const pitches = own.map((note) => note.pitch);
    const [low, high] = [Math.min(...pitches), Math.max(...pitches)].map(pitchName);
    return `${track.name}: ${own.length} notes, ${low} to ${high}`;
  }).join('; ');
}
