// The backend without a server: the decoder as ONNX, run by onnxruntime-web.

import { between, slerp, squarePlaces } from './latent.js';
import { notesOf } from './music.js';

/** Returns the points of a way between two, or of a square between four. */
function wayBetween(points, steps) {
  if (points.length === 2) return Array.from({ length: steps }, (_, i) => slerp(...points, i / (steps - 1)));
  return squarePlaces(steps).map(({ x, y }) => between(points, x, y));
}

export async function open() {
  const folder = new URL('./model/', import.meta.url).href;
  const worker = new Worker(new URL('./onnx_worker.js', import.meta.url), { type: 'module' });
  const waiting = new Map();
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(`The decoder failed: ${event.message}`));
    waiting.clear();
  };
  let number = 0;
  const ask = (kind, body) => new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    worker.postMessage({ id: number, kind, body });
  });

  const model = await ask('open', folder);
  const decode = async (points, temperature, seed, signal) => {
    const { tokens, points: resolved } = await ask('decode', { points, temperature, seed });
    signal?.throwIfAborted();
    return { points: resolved, windows: tokens.map((each) => ({ tokens: each, notes: notesOf(each, model.tracks) })) };
  };
  return {
    model,
    decode,
    path: async (points, steps, temperature, seed, signal) => {
      const ends = await decode(points, temperature, seed, signal);
      return decode(wayBetween(ends.points, steps), temperature, seed, signal);
    },
    map: async () => {
      const response = await fetch(new URL('map.json', folder));
      if (!response.ok) throw new Error('This page was exported without a map.');
      return response.json();
    },
    encode: async () => {
      throw new Error(model.why_not.encode);
    },
  };
}
