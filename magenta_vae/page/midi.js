// Windows of notes -> bytes of a MIDI file.

const TICKS_PER_QUARTER = 480;

function variableLength(value) {
  const bytes = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}

const text = (string) => [...new TextEncoder().encode(string)];
const number = (value, size) =>
  Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) & 0xff);
const chunk = (kind, bytes) => [...text(kind), ...number(bytes.length, 4), ...bytes];
const meta = (kind, bytes) => [0xff, kind, ...variableLength(bytes.length), ...bytes];

/** Returns the bytes of a track's chunk; events are {tick, order, bytes}, in any order. */
function trackChunk(events, lastTick) {
  const sorted = [...events].sort((a, b) => a.tick - b.tick || a.order - b.order);
  let at = 0;
  const bytes = sorted.flatMap(({ tick, bytes: event }) => {
    const delta = variableLength(tick - at);
    at = tick;
    return [...delta, ...event];
  });
  return chunk('MTrk', [...bytes, ...variableLength(Math.max(0, lastTick - at)), ...meta(0x2f, [])]);
}

/**
 * Returns the bytes of a MIDI file of windows, one after another.
 *
 * windows: arrays of notes, in steps; model: what it says of itself; programs: of each track.
 */
export function midiBytes(windows, model, qpm, programs) {
  const ticksPerStep = TICKS_PER_QUARTER / model.steps_per_quarter;
  const lastTick = windows.length * model.num_steps * ticksPerStep;
  const conductor = [
    { tick: 0, order: 0, bytes: meta(0x51, number(Math.round(6e7 / qpm), 3)) },
    { tick: 0, order: 0, bytes: meta(0x58, [4, 2, 24, 8]) },
  ];
  // Channels of 16 but the tenth, which is that of drums.
  const melodic = [...Array(16).keys()].filter((channel) => channel !== 9);
  const tracks = model.tracks.map((track, index) => {
    const channel = track.is_drum ? 9 : melodic[index % melodic.length];
    const events = [{ tick: 0, order: 0, bytes: meta(0x03, text(track.name)) }];
    events.push({ tick: 0, order: 1, bytes: [0xc0 | channel, track.is_drum ? 0 : programs[index]] });
    windows.forEach((notes, number_) => {
      for (const note of notes.filter((each) => each.track === index)) {
        const [start, end] = [note.start, note.end].map(
          (step) => (number_ * model.num_steps + step) * ticksPerStep);
        events.push({ tick: start, order: 3, bytes: [0x90 | channel, note.pitch, note.velocity] });
        events.push({ tick: end, order: 2, bytes: [0x80 | channel, note.pitch, 0] });
      }
    });
    return trackChunk(events, lastTick);
  });
  const header = chunk('MThd', [...number(1, 2), ...number(tracks.length + 1, 2), ...number(TICKS_PER_QUARTER, 2)]);
  return new Uint8Array([...header, ...trackChunk(conductor, lastTick), ...tracks.flat()]);
}

/** Returns the bytes of a WAV file, 16 bits, of an AudioBuffer. */
export function wavBytes(buffer) {
  const { numberOfChannels: channels, sampleRate, length } = buffer;
  const view = new DataView(new ArrayBuffer(44 + length * channels * 2));
  const put = (offset, string) => [...string].forEach((c, i) => view.setUint8(offset + i, c.charCodeAt(0)));
  put(0, 'RIFF');
  view.setUint32(4, 36 + length * channels * 2, true);
  put(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels * 2, true);
  view.setUint16(32, channels * 2, true);
  view.setUint16(34, 16, true);
  put(36, 'data');
  view.setUint32(40, length * channels * 2, true);
  const data = Array.from({ length: channels }, (_, channel) => buffer.getChannelData(channel));
  for (let i = 0, offset = 44; i < length; i++) {
    for (let channel = 0; channel < channels; channel++, offset += 2) {
      view.setInt16(offset, Math.max(-1, Math.min(1, data[channel][i])) * 32767, true);
    }
  }
  return new Uint8Array(view.buffer);
}
