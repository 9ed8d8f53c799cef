// The decoder in a thread of its own, where it holds up neither the sound nor the pointer.

import { floatsOfText } from './latent.js';
import { componentDraw, normalPoint, pairOf, tokenDraws } from './random.js';
import * as ort from './vendor/onnxruntime-web/ort.wasm.min.mjs';

ort.env.wasm.wasmPaths = new URL('./vendor/onnxruntime-web/', import.meta.url).href;
ort.env.wasm.numThreads = 1; // More take headers that static hosts seldom send.

let model;
let mixture;
let session;

function readMixture(prior) {
  const [means, roots, bounds] = ['means', 'roots', 'bounds'].map((name) => floatsOfText(prior[name], 8));
  return { means, roots, bounds };
}

/** Returns the point of a dice roll. */
function pointOf({ prior, seed, index = 0 }) {
  const pair = [seed, index];
  const normal = normalPoint(pair, model.z_size);
  if (prior === 'standard') return normal;
  const size = model.z_size;
  const drawn = componentDraw(pair);
  const chosen = mixture.bounds.filter((bound) => drawn >= bound).length;
  const [mean, root] = [chosen * size, chosen * size * size];
  return normal.map((_, row) => {
    let sum = mixture.means[mean + row];
    for (let i = 0; i < size; i++) sum += mixture.roots[root + row * size + i] * normal[i];
    return Math.fround(sum);
  });
}

async function decode({ points, temperature, seed }) {
  const resolved = points.map((point) => (Array.isArray(point) ? point : pointOf(point)));
  const [rows, steps, tracks] = [resolved.length, model.num_steps, model.tracks.length];
  const seeds = Array.isArray(seed) ? seed : Array(rows).fill(seed);
  const drawn = new Map(seeds.map((each) => [each, null]));
  for (const each of drawn.keys()) drawn.set(each, tokenDraws(pairOf(each), steps * tracks));
  const outputs = await session.run({
    z: new ort.Tensor('float32', resolved.flat(), [rows, model.z_size]),
    temperature: new ort.Tensor('float32', Array(rows).fill(temperature), [rows]),
    draws: new ort.Tensor('float32', seeds.flatMap((each) => drawn.get(each)), [rows, steps, tracks]),
  });
  const tokens = outputs.tokens.data;
  return {
    points: resolved,
    tokens: resolved.map((_, row) => Array.from({ length: steps }, (__, step) =>
      Array.from(tokens.slice((row * steps + step) * tracks, (row * steps + step + 1) * tracks)))),
  };
}

async function open(folder) {
  const fetched = async (name) => {
    const response = await fetch(new URL(name, folder));
    if (!response.ok) throw new Error(`${name} is missing beside the page (${response.status}).`);
    return response;
  };
  model = await (await fetched('model.json')).json();
  mixture = model.priors.includes('data') ? readMixture(await (await fetched('prior.json')).json()) : null;
  session = await ort.InferenceSession.create(await (await fetched('decode.onnx')).arrayBuffer());
  return model;
}

let last = Promise.resolve(); // A session answers one question at a time.
onmessage = ({ data: { id, kind, body } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, answer: await (kind === 'open' ? open(body) : decode(body)) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
};
