// Tempo, temperature, seed, buttons and keys.

import { isWithin, LIMITS } from './limits.js';

const MAX_DICE = 100000;
const byId = (id) => document.getElementById(id);

export const randomSeed = () => Math.floor(Math.random() * MAX_DICE);

/** Shows the tempo, the temperature and the seed of a state. */
export function showControls({ qpm, temperature, seed }) {
  byId('tempo').value = qpm;
  byId('temperature').value = temperature;
  byId('temperature-value').textContent = temperature.toFixed(2);
  byId('seed').value = seed;
}

const received = (value) => (Number.isNaN(value) ? 'nothing' : value);

/** Returns what is wrong with a tempo or a seed, '' where nothing is. */
export function tempoError(qpm) {
  return isWithin(qpm, LIMITS.tempo) ? '' : `The tempo must be 40 to 240 quarters a minute. Received: ${received(qpm)}.`;
}

export function seedError(seed) {
  const isRight = Number.isInteger(seed) && isWithin(seed, LIMITS.seed);
  return isRight ? '' : `The seed must be a whole number of 0 to 4,294,967,295. Received: ${received(seed)}.`;
}

/**
 * Calls an explorer's methods when its controls are used: toggle, setTempo, setTemperature, setSeed,
 * rollCorners, setDrawing, leaveJourney, saveWav, copyLink, play.
 */
export function wire(explorer) {
  const onClick = (id, handler) => byId(id).addEventListener('click', handler);
  const onValue = (id, kind, handler) => byId(id).addEventListener(kind, (event) => handler(event.target.valueAsNumber));
  onClick('play', () => explorer.toggle());
  onValue('tempo', 'change', (qpm) => explorer.setTempo(qpm));
  onValue('temperature', 'input', (temperature) => explorer.setTemperature(temperature));
  onValue('seed', 'change', (seed) => explorer.setSeed(seed));
  onClick('roll-seed', () => explorer.setSeed(randomSeed()));
  onClick('roll-all', () => explorer.rollCorners([0, 1, 2, 3]));
  onClick('journey', () => explorer.setDrawing(!explorer.pad.isDrawing));
  onClick('end-journey', () => explorer.leaveJourney());
  onClick('wav', () => explorer.saveWav());
  onClick('link', () => explorer.copyLink());
  document.addEventListener('keydown', (event) => onKey(explorer, event));
  // Browsers want a key, a click or the end of a touch before a page may sound: any will do.
  const begin = (event) => {
    if (explorer.player.hasStarted) for (const kind of ['pointerup', 'click']) document.removeEventListener(kind, begin);
    else if (!event.target.closest('#play')) explorer.play();
  };
  for (const kind of ['pointerup', 'click']) document.addEventListener(kind, begin);
  // A file that misses a corner must not open in the place of the page.
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    if (!event.taken && event.dataTransfer.files.length) explorer.missedDrop();
  });
}

function onKey(explorer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest('input:not([type="range"]), select')) return;
  if (event.target.closest('input') && /\d/.test(event.key)) return; // A slider's own keys.
  const corner = ['1', '2', '3', '4'].indexOf(event.key);
  const key = event.key.toLowerCase();
  if (key === ' ' && !event.target.closest('button, a')) {
    event.preventDefault();
    explorer.toggle();
  } else if (corner >= 0) explorer.rollCorners([corner]);
  else if (key === 'r') explorer.rollCorners([0, 1, 2, 3]);
  else if (key === 'j') explorer.setDrawing(!explorer.pad.isDrawing);
  else if (key === 'escape') explorer.leaveJourney();
}
