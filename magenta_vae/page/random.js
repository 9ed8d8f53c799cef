// The random draws of a seed, as TensorFlow makes them for the package's `model/noise`: Philox, a
// counter that is encrypted (Salmon et al., 2011), from seeds into which a draw's purpose is folded.

const [TOKEN, LATENT, COMPONENT] = [1, 0, 3]; // Purposes.
const [SMALLEST, LARGEST] = [1e-7, 1 - 2 ** -18].map(Math.fround); // Of uniform draws.
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85];
const FIRST_KEY = [0x3ec8f720, 0x02461e29]; // With which TensorFlow encrypts a seed.
const NUM_ROUNDS = 10;

/** Returns the high and the low word of the product of two words of 32 bits. */
function product(a, b) {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = aLow * bLow;
  const first = aHigh * bLow + Math.floor(low / 0x10000);
  const second = aLow * bHigh + (first % 0x10000);
  const high = aHigh * bHigh + Math.floor(first / 0x10000) + Math.floor(second / 0x10000);
  return [high >>> 0, ((second % 0x10000) * 0x10000 + (low % 0x10000)) >>> 0];
}

function encrypt(counter, key) {
  let [a, b, c, d] = counter;
  let [first, second] = key;
  for (let round = 0; round < NUM_ROUNDS; round++) {
    const [leftHigh, leftLow] = product(MULTIPLIERS[0], a);
    const [rightHigh, rightLow] = product(MULTIPLIERS[1], c);
    [a, b, c, d] = [(rightHigh ^ b ^ first) >>> 0, rightLow, (leftHigh ^ d ^ second) >>> 0, leftLow];
    first = (first + KEY_STEPS[0]) >>> 0;
    second = (second + KEY_STEPS[1]) >>> 0;
  }
  return [a, b, c, d];
}

const words = (number) => [number >>> 0, Math.floor(number / 2 ** 32) >>> 0];

/** Returns words of 32 random bits for a seed, two numbers that are words of 64 bits each. */
function draw(seedWords, count) {
  const mixed = encrypt(seedWords, FIRST_KEY);
  const result = [];
  for (let block = 0; result.length < count; block++) {
    result.push(...encrypt([block, 0, mixed[2], mixed[3]], mixed));
  }
  return result.slice(0, count);
}

/** Returns the words of a pair of seeds for a purpose. */
function folded([first, second], purpose) {
  const [low, high] = draw([...words(first), ...words(second)], 4);
  return [low, high, purpose, 0];
}

const view = new DataView(new ArrayBuffer(4));

/** Returns the number in [0, 1) of a word, a float32 of 23 bits. */
function share(word) {
  view.setUint32(0, (word & 0x7fffff) | 0x3f800000);
  return view.getFloat32(0) - 1;
}

function uniform(pair, purpose, count) {
  const width = Math.fround(LARGEST - SMALLEST);
  return draw(folded(pair, purpose), count).map(
    (word) => Math.fround(Math.fround(share(word) * width) + SMALLEST));
}

/** Returns the draws of a window's tokens: numbers in (0, 1), step after step. */
export const tokenDraws = (pair, count) => uniform(pair, TOKEN, count);

/** Returns the draw that chooses a Gaussian of a mixture. */
export const componentDraw = (pair) => uniform(pair, COMPONENT, 1)[0];

/** Returns a point of N(0, I): two normal numbers of two uniform ones (Box and Muller, 1958). */
export function normalPoint(pair, size) {
  const drawn = draw(folded(pair, LATENT), Math.ceil(size / 4) * 4).map(share);
  const point = [];
  for (let i = 0; i < drawn.length; i += 2) {
    const least = Math.max(drawn[i], Math.fround(1e-7));
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(least)))));
    const angle = Math.fround(2 * Math.PI * drawn[i + 1]);
    point.push(Math.fround(Math.fround(Math.sin(angle)) * radius), Math.fround(Math.fround(Math.cos(angle)) * radius));
  }
  return point.slice(0, size);
}

/** Returns the pair of seeds of a row, of one number: index * 2^32 + seed (see `serving/seeds`). */
export const pairOf = (seed) => [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
