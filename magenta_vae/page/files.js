// What is taken along: MIDI, sound, a link.

import { midiBytes, wavBytes } from './midi.js';
import { render } from './sound.js';

const KEPT = 60000; // Milliseconds that a file's address is good for after a click.

function fileName(model, { where, seed, journey }, ending) {
  const on = where.kind === 'pad' ? `at-${where.x.toFixed(2)}-${where.y.toFixed(2)}` : 'map';
  return `${model.name}-${journey ? 'journey' : on}-seed${seed}.${ending}`;
}

/** Makes an anchor that gives windows as a MIDI file, by a click or by being dragged. */
export function offerMidi(anchor, windows, model, state, programs) {
  if (anchor.href) URL.revokeObjectURL(anchor.href);
  const bytes = midiBytes(windows, model, state.qpm, programs);
  anchor.href = URL.createObjectURL(new Blob([bytes], { type: 'audio/midi' }));
  anchor.download = fileName(model, state, 'mid');
  anchor.ondragstart = (event) => {
    event.dataTransfer.setData('DownloadURL', `audio/midi:${anchor.download}:${anchor.href}`);
  };
}

/** Saves the sound of windows, of their whole bars, so that the file loops. */
export async function saveWav(windows, model, state, programs) {
  const buffer = await render(windows, model, programs, state.qpm, state.audible);
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(new Blob([wavBytes(buffer)], { type: 'audio/wav' }));
  anchor.download = fileName(model, state, 'wav');
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), KEPT);
}

/** Copies an address and returns what to tell of it. */
export async function copyLink(address) {
  try {
    await navigator.clipboard.writeText(address);
    return 'The link is copied. It gives the same music again.';
  } catch {
    return 'The address of this page is the link: copy it from the address bar.';
  }
}
