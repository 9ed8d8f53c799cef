// What the page plays <-> the part of an address after `#`.

import { floatsOfText, textOfFloats } from './latent.js';

const rounded = (value) => Number(value.toFixed(4));

function cornerText(corner) {
  if (corner.kind === 'dice') return `d.${corner.prior}.${corner.seed}`;
  return `p.${textOfFloats(corner.point)}.${encodeURIComponent(corner.title).replaceAll('.', '%2E')}`;
}

function cornerOf(text, zSize) {
  const [kind, first, second] = text.split('.');
  if (kind === 'd' && /^\d{1,10}$/.test(second ?? '') && ['data', 'standard'].includes(first)) {
    return { kind: 'dice', prior: first, seed: Number(second) };
  }
  if (kind === 'p') {
    const point = floatsOfText(first);
    if (point.length === zSize && point.every(Number.isFinite)) {
      return { kind: 'point', point, title: decodeURIComponent(second ?? '') };
    }
  }
  throw new Error('A corner of the link is cut off or of another model.');
}

/** Returns the state of the page as text. */
export function write(state, modelName) {
  const fields = new URLSearchParams();
  fields.set('model', modelName);
  fields.set('corners', state.corners.map(cornerText).join(','));
  if (state.where.kind === 'pad') fields.set('at', `${rounded(state.where.x)},${rounded(state.where.y)}`);
  else fields.set('point', `${textOfFloats(state.where.point)}.${encodeURIComponent(state.where.title ?? '').replaceAll('.', '%2E')}`);
  if (state.journey) fields.set('journey', state.journey.map(({ x, y }) => `${rounded(x)},${rounded(y)}`).join(';'));
  fields.set('temperature', state.temperature);
  fields.set('seed', state.seed);
  fields.set('tempo', state.qpm);
  const moved = Object.entries(state.attributes).filter(([, strength]) => strength);
  if (moved.length) fields.set('attributes', moved.map(([name, strength]) => `${name}:${strength}`).join(','));
  const silent = state.audible.map((on, index) => (on ? '' : index)).filter((index) => index !== '');
  if (silent.length) fields.set('silent', silent.join(','));
  return fields.toString();
}

const place = (text) => {
  const [x, y] = text.split(',').map(Number);
  if (![x, y].every((value) => value >= 0 && value <= 1)) throw new Error(`A place of the link must be two numbers of 0 to 1. Received: ${text}.`);
  return { x, y };
};

function bounded(fields, name, low, high, fallback) {
  if (!fields.has(name)) return fallback;
  const value = Number(fields.get(name));
  if (!(value >= low && value <= high)) throw new Error(`The link's ${name} must be ${low} to ${high}. Received: ${fields.get(name)}.`);
  return value;
}

/** Returns the fields of a state that a link names; raises what is wrong with the link. */
export function read(text, model, fallback) {
  const fields = new URLSearchParams(text);
  const named = fields.get('model');
  if (named && named !== model.name) throw new Error(`The link is of the model ${named}. This page plays ${model.name}.`);
  const state = {
    temperature: bounded(fields, 'temperature', 0.05, 2, fallback.temperature),
    seed: Math.floor(bounded(fields, 'seed', 0, 2 ** 32 - 1, fallback.seed)),
    qpm: bounded(fields, 'tempo', 40, 240, fallback.qpm),
  };
  if (fields.has('corners')) {
    state.corners = fields.get('corners').split(',').map((corner) => cornerOf(corner, model.z_size));
    if (state.corners.length !== 4) throw new Error(`A link must have four corners. Received: ${state.corners.length}.`);
  }
  if (fields.has('at')) state.where = { kind: 'pad', ...place(fields.get('at')) };
  if (fields.has('point')) {
    const [numbers, title] = fields.get('point').split('.');
    const point = floatsOfText(numbers);
    if (point.length !== model.z_size) throw new Error(`The link's point must have ${model.z_size} numbers. Received: ${point.length}.`);
    state.where = { kind: 'point', point, title: decodeURIComponent(title ?? '') };
  }
  if (fields.has('journey')) state.journey = fields.get('journey').split(';').map(place);
  if (fields.has('attributes')) {
    state.attributes = Object.fromEntries(fields.get('attributes').split(',').map((each) => {
      const [name, strength] = each.split(':');
      return [name, Number(strength)];
    }).filter(([, strength]) => Math.abs(strength) <= 3));
  }
  if (fields.has('silent')) {
    const silent = fields.get('silent').split(',').map(Number);
    state.audible = model.tracks.map((_, index) => !silent.includes(index));
  }
  return state;
}
