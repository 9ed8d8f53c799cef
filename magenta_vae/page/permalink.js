// What the page plays <-> the part of an address after `#`.

import { floatsOfText, textOfFloats } from './latent.js';
import { isWithin, LIMITS, MAX_JOURNEY } from './limits.js';

const DAMAGED = 'The link is damaged: it was cut off or changed.';
const titled = (text) => encodeURIComponent(text ?? '').replaceAll('.', '%2E');

/** What a link says wrongly, in words for a person. */
class LinkError extends Error {}

/** All digits: from a place beside it other music may be decoded. */
const placeText = ({ x, y }) => `${x},${y}`;

function cornerText(corner) {
  if (corner.kind === 'dice') return `d.${corner.prior}.${corner.seed}`;
  return `p.${textOfFloats(corner.point)}.${titled(corner.title)}`;
}

function pointOf(text, model) {
  const point = floatsOfText(text);
  if (point.length !== model.z_size || !point.every(Number.isFinite)) {
    throw new LinkError(`A point of the link must have ${model.z_size} numbers: it is of another model, or cut off.`);
  }
  return point;
}

function cornerOf(text, model) {
  const [kind, first, second] = text.split('.');
  if (kind === 'p') return { kind: 'point', point: pointOf(first, model), title: decodeURIComponent(second ?? '') };
  const seed = Number(second);
  if (kind !== 'd' || !/^\d+$/.test(second ?? '') || !isWithin(seed, LIMITS.seed)) throw new LinkError(DAMAGED);
  if (!model.priors.includes(first)) throw new LinkError(`The link draws from the prior ${first}. This model has ${model.priors.join(' and ')}.`);
  return { kind: 'dice', prior: first, seed };
}

/** Returns the state of the page as text. */
export function write(state, modelName) {
  const fields = new URLSearchParams();
  fields.set('model', modelName);
  fields.set('corners', state.corners.map(cornerText).join(','));
  if (state.where.kind === 'pad') fields.set('at', placeText(state.where));
  else fields.set('point', `${textOfFloats(state.where.point)}.${titled(state.where.title)}`);
  if (state.journey) fields.set('journey', state.journey.map(placeText).join(';'));
  fields.set('temperature', state.temperature);
  fields.set('seed', state.seed);
  fields.set('tempo', state.qpm);
  const moved = Object.entries(state.attributes).filter(([, strength]) => strength);
  if (moved.length) fields.set('attributes', moved.map(([name, strength]) => `${name}:${strength}`).join(','));
  const silent = state.audible.map((on, index) => (on ? '' : index)).filter((index) => index !== '');
  if (silent.length) fields.set('silent', silent.join(','));
  return fields.toString();
}

function place(text) {
  const [x, y] = text.split(',').map(Number);
  if (![x, y].every((value) => isWithin(value, [0, 1]))) throw new LinkError(`A place of the link must be two numbers of 0 to 1. Received: ${text}.`);
  return { x, y };
}

function number(fields, name, fallback) {
  if (!fields.has(name)) return fallback;
  const value = Number(fields.get(name));
  const [least, most] = LIMITS[name];
  if (!isWithin(value, LIMITS[name])) throw new LinkError(`The link's ${name} must be ${least} to ${most}. Received: ${fields.get(name)}.`);
  return value;
}

function strengths(text, model) {
  const known = new Set(model.attributes.map(({ name }) => name));
  return Object.fromEntries(text.split(',').map((each) => {
    const [name, strength] = each.split(':');
    if (!known.has(name) || !isWithin(Number(strength), LIMITS.attribute)) throw new LinkError(`The link's attribute ${each} is none of this model.`);
    return [name, Number(strength)];
  }));
}

function fieldsOf(text, model, fallback) {
  const fields = new URLSearchParams(text);
  const named = fields.get('model');
  if (named && named !== model.name) throw new LinkError(`The link is of the model ${named}. This page plays ${model.name}.`);
  const state = {
    temperature: number(fields, 'temperature', fallback.temperature),
    seed: Math.floor(number(fields, 'seed', fallback.seed)),
    qpm: number(fields, 'tempo', fallback.qpm),
  };
  if (fields.has('corners')) {
    state.corners = fields.get('corners').split(',').map((corner) => cornerOf(corner, model));
    if (state.corners.length !== 4) throw new LinkError(`A link must have four corners. Received: ${state.corners.length}.`);
  }
  if (fields.has('at')) state.where = { kind: 'pad', ...place(fields.get('at')) };
  if (fields.has('point')) {
    const [numbers, title] = fields.get('point').split('.');
    state.where = { kind: 'point', point: pointOf(numbers, model), title: decodeURIComponent(title ?? '') };
  }
  if (fields.has('journey')) {
    state.journey = fields.get('journey').split(';').map(place);
    if (!isWithin(state.journey.length, [2, MAX_JOURNEY])) throw new LinkError(`A journey of a link must have 2 to ${MAX_JOURNEY} places. Received: ${state.journey.length}.`);
  }
  if (fields.has('attributes')) state.attributes = strengths(fields.get('attributes'), model);
  if (fields.has('silent')) {
    const silent = fields.get('silent').split(',').map(Number);
    state.audible = model.tracks.map((_, index) => !silent.includes(index));
  }
  return state;
}

/** Returns the fields of a state that a link names; throws what is wrong with the link. */
export function read(text, model, fallback) {
  try {
    return fieldsOf(text, model, fallback);
  } catch (error) {
    if (error instanceof LinkError) throw error;
    throw new LinkError(DAMAGED); // No base64, no text.
  }
}
