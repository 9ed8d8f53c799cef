// The decoder in a thread of its own, where it holds up neither the sound nor the pointer.

import { bytesOfText } from './latent.js';
import { componentDraw, normalPoint, pairOf, tokenDraws } from './random.js';
import * as ort from './vendor/onnxruntime-web/ort.wasm.min.mjs';

ort.env.wasm.wasmPaths = new URL('./vendor/onnxruntime-web/', import.meta.url).href;
ort.env.wasm.numThreads = 1; // More take headers that static hosts seldom send.

let model;
let mixture;
let session;

function readMixture({ weights, means, roots }) {
  let sum = 0;
  const bounds = weights.map((weight) => (sum += weight)).slice(0, -1);
  return { bounds, means: means.map((mean) => mean.map(Math.fround)), roots: new DataView(bytesOfText(roots).buffer) };
}

/** Returns the number of a half, float16. */
function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return bits >> 15 ? -size : size;
}

/** Returns the point of a dice roll. */
function pointOf({ prior, seed, index = 0 }) {
  const pair = [seed, index];
  const normal = normalPoint(pair, model.z_size);
  if (prior === 'standard') return normal;
  const drawn = componentDraw(pair);
  const chosen = mixture.bounds.filter((bound) => drawn >= bound).length;
  // Of each Gaussian the lower triangle of a root of its covariance, row after row.
  let at = chosen * ((model.z_size * (model.z_size + 1)) / 2);
  return normal.map((_, row) => {
    let sum = 0;
    for (let i = 0; i <= row; i++) sum += half(mixture.roots.getUint16(2 * at++, true)) * normal[i];
    return Math.fround(mixture.means[chosen][row] + sum);
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
  const opening = fetched('decode.onnx').then((response) => response.arrayBuffer())
    .then((bytes) => ort.InferenceSession.create(bytes));
  model = await (await fetched('model.json')).json();
  mixture = model.priors.includes('data') ? readMixture(await (await fetched('data_prior.json')).json()) : null;
  session = await opening;
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
