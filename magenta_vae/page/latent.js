// Points of the latent space: ways between them, as the package's `inference/interpolation` walks.

const FLAT = 1e-4; // The sine of an angle below which a sphere is taken as flat.
const SMALLEST = 1e-12; // A squared length below it is none.

function norm(point) {
  return Math.sqrt(Math.max(point.reduce((sum, value) => sum + value * value, 0), SMALLEST));
}

/** Returns the point at a position, 0 to 1, on the spherical way between two. */
export function slerp(start, end, position) {
  const [startNorm, endNorm] = [norm(start), norm(end)];
  let [apart, together] = [0, 0];
  for (let i = 0; i < start.length; i++) {
    const [a, b] = [start[i] / startNorm, end[i] / endNorm];
    apart += (a - b) ** 2;
    together += (a + b) ** 2;
  }
  // The arc cosine would lose half of the digits near 0 and pi.
  const angle = 2 * Math.atan2(Math.sqrt(apart), Math.sqrt(together));
  const sine = Math.sin(angle);
  const isFlat = sine < FLAT;
  const startWeight = isFlat ? 1 - position : Math.sin((1 - position) * angle) / sine;
  const endWeight = isFlat ? position : Math.sin(position * angle) / sine;
  return start.map((value, i) => Math.fround(startWeight * value + endWeight * end[i]));
}

/**
 * Returns the point at (x, y) of a square between four: down its sides, then across.
 * Corners: top left, top right, bottom left, bottom right.
 */
export function between([topLeft, topRight, bottomLeft, bottomRight], x, y) {
  return slerp(slerp(topLeft, bottomLeft, y), slerp(topRight, bottomRight, y), x);
}

/** Returns the places of a square of `size` x `size` points, row after row. */
export function squarePlaces(size) {
  const places = [];
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      places.push({ x: column / (size - 1), y: row / (size - 1) });
    }
  }
  return places;
}

/** Returns a point with vectors added: strengths and vectors by name. */
export function withAttributes(point, strengths, vectors) {
  const moved = [...point];
  for (const [name, strength] of Object.entries(strengths)) {
    if (!strength || !Object.hasOwn(vectors, name)) continue;
    vectors[name].forEach((value, i) => { moved[i] += strength * value; });
  }
  return moved.map(Math.fround);
}

export function distance(a, b) {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));
}

export function bytesOfText(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

/** Returns the numbers of a base64 text of little-endian float32. */
export function floatsOfText(text) {
  const bytes = bytesOfText(text);
  if (bytes.length % 4) throw new Error('A text of numbers is cut off.');
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Returns a point as base64 that a link can hold. */
export function textOfFloats(point) {
  const view = new DataView(new ArrayBuffer(4 * point.length));
  point.forEach((value, i) => view.setFloat32(4 * i, value, true));
  const text = btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
