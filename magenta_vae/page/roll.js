// The picture of a window: a piano roll of its lines and a grid of its drums.

import { hitName, pitchName } from './music.js';

const LABEL = 78; // Pixels left of the steps.
const MIN_PITCHES = 20;
const DRUM_ROW = 18;

export function colours(element) {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** Fits a canvas to its size on the screen and returns its context, in CSS pixels. */
export function fitted(canvas, height) {
  const [width, ratio] = [canvas.clientWidth, window.devicePixelRatio || 1];
  if (height) canvas.style.height = `${height}px`;
  const tall = height ?? canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(tall * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, tall);
  return { context, width, height: tall };
}

/** Returns the lowest and the highest pitch of notes, widened to a readable range. */
function pitchRange(notes) {
  const pitches = notes.map((note) => note.pitch);
  let [low, high] = pitches.length ? [Math.min(...pitches) - 2, Math.max(...pitches) + 2] : [55, 75];
  while (high - low < MIN_PITCHES) [low, high] = [low - 1, high + 1];
  return [Math.max(0, low), Math.min(127, high)];
}

export class Roll {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
    this.notes = [];
    this.audible = model.tracks.map(() => true);
  }

  /** Draws notes, and the playhead at a step where one is given. */
  draw(notes = this.notes, step = null) {
    this.notes = notes;
    const { tracks, num_steps: numSteps } = this.model;
    const colour = colours(this.canvas);
    const lines = notes.filter((note) => !tracks[note.track].is_drum);
    const drumTracks = [...tracks.keys()].filter((index) => tracks[index].is_drum);
    const hits = drumTracks.flatMap((index) => Object.values(tracks[index].onsets)
      .map((pitches) => ({ track: index, pitch: pitches[0] }))).reverse();
    const hasLines = drumTracks.length < tracks.length;
    const [low, high] = pitchRange(lines);
    const lineHeight = hasLines ? Math.max(180, (high - low + 1) * 6) : 0;
    const gap = hasLines && hits.length ? 12 : 0;
    const total = lineHeight + gap + hits.length * DRUM_ROW;
    const { context, width } = fitted(this.canvas, total);
    const stepWidth = (width - LABEL) / numSteps;
    const row = lineHeight / (high - low + 1);

    context.font = '11px system-ui, sans-serif';
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    if (hasLines) {
      for (let pitch = low; pitch <= high; pitch++) {
        const y = (high - pitch) * row;
        context.fillStyle = colour([1, 3, 6, 8, 10].includes(pitch % 12) ? 'roll-black' : 'roll-white');
        context.fillRect(LABEL, y, width - LABEL, row);
        if (pitch % 12 === 0) {
          context.fillStyle = colour('quiet');
          context.fillText(pitchName(pitch), LABEL - 8, y + row / 2);
        }
      }
    }
    hits.forEach(({ pitch }, index) => {
      const y = lineHeight + gap + index * DRUM_ROW;
      context.fillStyle = colour(index % 2 ? 'roll-black' : 'roll-white');
      context.fillRect(LABEL, y, width - LABEL, DRUM_ROW);
      context.fillStyle = colour('quiet');
      context.fillText(hitName(pitch), LABEL - 8, y + DRUM_ROW / 2);
    });
    for (let at = 0; at <= numSteps; at += numSteps > 64 ? 16 : 4) {
      context.fillStyle = colour(at % 16 ? 'grid' : 'grid-bar');
      context.fillRect(LABEL + at * stepWidth - 0.5, 0, 1, total);
    }
    for (const note of notes) {
      const isDrum = tracks[note.track].is_drum;
      context.fillStyle = colour(`track-${note.track % 3}`);
      context.globalAlpha = this.audible[note.track] ? 1 : 0.25;
      const x = LABEL + note.start * stepWidth;
      const wide = Math.max(2, (note.end - note.start) * stepWidth - 1.5);
      const place = hits.findIndex((hit) => hit.track === note.track && hit.pitch === note.pitch);
      const y = isDrum ? lineHeight + gap + place * DRUM_ROW + 3 : (high - note.pitch) * row;
      context.beginPath();
      context.roundRect(x + 0.5, y + 0.5, wide, (isDrum ? DRUM_ROW - 6 : Math.max(4, row)) - 1, 2);
      context.fill();
      context.globalAlpha = 1;
    }
    if (step !== null) {
      context.fillStyle = colour('playhead');
      context.fillRect(LABEL + step * stepWidth - 1, 0, 2, total);
    }
  }
}

/** Draws notes small, without labels, into a rectangle. */
export function drawSmall(context, notes, model, colour, [left, top, width, height]) {
  const lines = notes.filter((note) => !model.tracks[note.track].is_drum);
  const hits = notes.filter((note) => model.tracks[note.track].is_drum);
  const [low, high] = pitchRange(lines);
  const lineHeight = !hits.length ? height : lines.length ? height * 0.6 : 0;
  const stepWidth = width / model.num_steps;
  for (const note of lines) {
    context.fillStyle = colour(`track-${note.track % 3}`);
    const y = top + ((high - note.pitch) / (high - low + 1)) * lineHeight;
    context.fillRect(left + note.start * stepWidth, y, Math.max(1, (note.end - note.start) * stepWidth - 0.5), Math.max(1.5, lineHeight / (high - low + 1)));
  }
  const kinds = model.tracks.flatMap((track) => (track.is_drum ? Object.values(track.onsets).map((p) => p[0]) : []));
  const rowHeight = (height - lineHeight) / Math.max(1, kinds.length);
  for (const note of hits) {
    context.fillStyle = colour(`track-${note.track % 3}`);
    const y = top + height - (kinds.indexOf(note.pitch) + 1) * rowHeight;
    context.fillRect(left + note.start * stepWidth, y, Math.max(1, stepWidth - 0.5), Math.max(1.5, rowHeight - 0.5));
  }
}
