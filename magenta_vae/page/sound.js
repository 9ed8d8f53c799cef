// Sound: instruments of Tone.js, and a player that loops windows in time.

import './vendor/tone/Tone.js';

const { Tone } = globalThis;
const STEPS_PER_BAR = 16;
const LOOK_AHEAD = 0.05; // Seconds between a note's scheduling and its sound.
const BASSES = [32, 39]; // General MIDI programs.

const noise = (filter, frequency, decay, volume) => () => {
  const shape = new Tone.Filter(frequency, filter);
  const synth = new Tone.NoiseSynth({
    volume, noise: { type: 'white' }, envelope: { attack: 0.001, decay, sustain: 0, release: 0.02 },
  }).connect(shape);
  return { output: shape, hit: (time, gain) => synth.triggerAttackRelease(decay, time, gain) };
};
const membrane = (pitch, octaves, decay, volume) => () => {
  const synth = new Tone.MembraneSynth({
    volume, octaves, pitchDecay: 0.03, envelope: { attack: 0.001, decay, sustain: 0, release: 0.05 },
  });
  return { output: synth, hit: (time, gain) => synth.triggerAttackRelease(pitch, decay, time, gain) };
};

const SNARE = noise('bandpass', 1800, 0.16, -2);
const DRUMS = {
  35: membrane('C1', 5, 0.35, 2), 36: membrane('C1', 5, 0.35, 2),
  37: noise('bandpass', 3500, 0.04, -6), 38: SNARE, 39: noise('bandpass', 1200, 0.12, -4), 40: SNARE,
  41: membrane('F1', 2, 0.3, 0), 43: membrane('G1', 2, 0.3, 0), 45: membrane('A1', 2, 0.3, 0),
  47: membrane('C2', 2, 0.25, 0), 48: membrane('D2', 2, 0.25, 0), 50: membrane('F2', 2, 0.2, 0),
  42: noise('highpass', 8500, 0.05, -10), 44: noise('highpass', 8000, 0.04, -12),
  46: noise('highpass', 7500, 0.28, -11),
  49: noise('highpass', 5000, 0.9, -12), 57: noise('highpass', 4500, 0.9, -12),
  51: noise('highpass', 6500, 0.35, -16), 53: noise('bandpass', 6000, 0.3, -14), 59: noise('highpass', 6000, 0.4, -16),
};
const OTHER_DRUM = noise('bandpass', 2500, 0.06, -6);

/** A track's instrument: `play(note, time, seconds)` and `release(time)`. */
function makeDrums(track, output) {
  const kit = new Map(Object.values(track.onsets).map(([pitch]) => [pitch, (DRUMS[pitch] ?? OTHER_DRUM)()]));
  kit.forEach((drum) => drum.output.connect(output));
  const lastHits = new Map(); // Of each pitch, in seconds.
  return {
    play(note, time) {
      // Tone.js refuses a hit that is not after the last one, as when a busy machine starts late.
      if (time <= lastHits.get(note.pitch)) return;
      lastHits.set(note.pitch, time);
      kit.get(note.pitch).hit(time, note.velocity / 127);
    },
    release() {},
  };
}

function makeLine(program, output) {
  const isBass = program >= BASSES[0] && program <= BASSES[1];
  const synth = isBass
    ? new Tone.PolySynth(Tone.Synth, {
      volume: -4, oscillator: { type: 'sawtooth' },
      envelope: { attack: 0.008, decay: 0.25, sustain: 0.5, release: 0.08 },
    })
    : new Tone.PolySynth(Tone.FMSynth, {
      volume: -8, harmonicity: 2, modulationIndex: 1.2,
      envelope: { attack: 0.005, decay: 0.9, sustain: 0.25, release: 0.25 },
      modulationEnvelope: { attack: 0.002, decay: 0.4, sustain: 0.1, release: 0.2 },
    });
  const filter = new Tone.Filter(isBass ? 700 : 6000, 'lowpass');
  synth.chain(filter, output);
  return {
    play: (note, time, seconds) => synth.triggerAttackRelease(
      Tone.Frequency(note.pitch, 'midi').toFrequency(), Math.max(0.03, seconds), time, note.velocity / 127),
    release: (time) => synth.releaseAll(time),
  };
}

function makeBand(tracks, programs, output) {
  return tracks.map((track, index) =>
    (track.is_drum ? makeDrums(track, output) : makeLine(programs[index], output)));
}

const SOUNDING = 0.98; // Of a note's length, so that repeated notes are told apart.

/** Plays the notes of a window that start at a step, of the tracks that are heard. */
function playStep(band, audible, notes, step, time, stepSeconds) {
  for (const note of notes) {
    if (note.start !== step || !audible[note.track]) continue;
    band[note.track].play(note, time, (note.end - note.start) * stepSeconds * SOUNDING);
  }
}

/**
 * Plays a sequence of windows in a loop. A sequence that is set while another plays is heard from
 * the next bar on, without a gap: a single window goes on at the same bar of its own.
 */
export class Player {
  constructor(model, programs) {
    this.model = model;
    this.programs = programs;
    this.isPlaying = false;
    this.hasStarted = false; // Whether the browser has let it sound.
    this.sequence = null; // What sounds: arrays of notes.
    this.pending = null; // What sounds from the next bar on.
    this.audible = model.tracks.map(() => true);
    this.step = 0; // The next to be scheduled, of the whole sequence.
    this.scheduled = []; // {time, step, window}, the last bar's.
    Tone.getContext().lookAhead = LOOK_AHEAD;
    this.meter = new Tone.Meter({ smoothing: 0.6 });
    this.output = new Tone.Limiter(-2).toDestination();
    this.output.connect(this.meter);
    this.band = makeBand(model.tracks, programs, this.output);
    Tone.getTransport().bpm.value = model.quarters_per_minute;
    Tone.getTransport().scheduleRepeat((time) => this.#play(time), '16n');
  }

  /** Says whether the browser lets the page sound: it may want a key or a click first. */
  get mayStart() {
    return Tone.getContext().state === 'running';
  }

  setSequence(windows) {
    if (this.isPlaying) this.pending = windows;
    else this.sequence = windows;
  }

  setTempo(qpm) {
    Tone.getTransport().bpm.value = qpm;
  }

  async start() {
    await Tone.start(); // Waits for a key or a click, where the browser wants one.
    this.hasStarted = true;
    if (this.isPlaying || !this.sequence) return;
    this.isPlaying = true;
    this.step = 0;
    this.scheduled = [];
    Tone.getTransport().start('+0.02', 0);
  }

  stop() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    Tone.getTransport().stop();
    this.band.forEach((instrument) => instrument.release(Tone.now()));
    if (this.pending) this.sequence = this.pending;
    this.pending = null;
  }

  /** Returns what is heard now: {window, step}, null where nothing is. */
  position() {
    if (!this.isPlaying) return null;
    const now = Tone.immediate();
    const heard = this.scheduled.findLast(({ time }) => time <= now);
    if (!heard) return null;
    const steps = (now - heard.time) / Tone.Time('16n').toSeconds();
    return { window: heard.window, step: heard.step + Math.min(steps, 1) };
  }

  /** Returns the level of the sound in decibels. */
  level() {
    return this.meter.getValue();
  }

  #play(time) {
    if (this.step % STEPS_PER_BAR === 0) this.#startBar(time);
    const numSteps = this.model.num_steps;
    const [window, step] = [Math.floor(this.step / numSteps), this.step % numSteps];
    playStep(this.band, this.audible, this.sequence[window], step, time, Tone.Time('16n').toSeconds());
    this.scheduled = [...this.scheduled.slice(-STEPS_PER_BAR), { time, step, window }];
    this.step = (this.step + 1) % (this.sequence.length * numSteps);
  }

  #startBar(time) {
    if (!this.pending) return;
    this.band.forEach((instrument) => instrument.release(time));
    const isSameLength = this.pending.length === this.sequence.length;
    this.sequence = this.pending;
    this.pending = null;
    if (!isSameLength) this.step = 0;
  }
}

/** Returns the sound of windows as an AudioBuffer of their whole bars. */
export async function render(windows, model, programs, qpm, audible) {
  const stepSeconds = 60 / qpm / model.steps_per_quarter;
  const seconds = windows.length * model.num_steps * stepSeconds;
  const buffer = await Tone.Offline(() => {
    const output = new Tone.Limiter(-2).toDestination();
    const band = makeBand(model.tracks, programs, output);
    windows.forEach((notes, window) => {
      for (let step = 0; step < model.num_steps; step++) {
        const time = (window * model.num_steps + step) * stepSeconds;
        playStep(band, audible, notes, step, time, stepSeconds);
      }
    });
  }, seconds, 2, 44100);
  return buffer.get();
}
