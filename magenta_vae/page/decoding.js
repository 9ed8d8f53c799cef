// What is decoded, and when: the place that is played first, then the square around it.

import { between, squarePlaces, withAttributes } from './latent.js';
import { GRID, nearestCell } from './pad.js';

const POINTS_AT_ONCE = 64;
const STEPS_AT_ONCE = 2048; // Of all points of a request: more would keep the place that is played waiting.

const isSame = (a, b) => a === b || (a.x === b.x && a.y === b.y && a.point === b.point);

/** Keeps the music of a state's places; a newer state drops what an older one still asks for. */
export class Decoding {
  /** onMusic(notes, where, tokens) of the place that is played; onCells(cells) of the square. */
  constructor(backend, { onMusic, onCells, fail }) {
    Object.assign(this, { backend, onMusic, onCells, fail });
    this.vectors = Object.fromEntries(backend.model.attributes.map(({ name, vector }) => [name, vector]));
    this.abort = new AbortController();
    this.found = Promise.resolve(); // When the points of all corners are known.
    this.asking = null; // The signal of what asks for the place that is played.
    this.hasFailed = false;
    this.#forget();
  }

  get isAsking() {
    return this.asking === this.abort.signal;
  }

  /** Returns the point of a place of a state, with its attributes; the corners' must be known. */
  pointAt(state, where) {
    const base = where.point ?? between(state.corners.map((corner) => corner.point), where.x, where.y);
    return withAttributes(base, state.attributes, this.vectors);
  }

  /**
   * Decodes anew all that a state shows, after its corners, attributes, temperature or seed changed.
   * Returns whether that was done: a newer state may have come first.
   */
  async settle(state) {
    this.abort.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.state = state;
    this.hasFailed = false;
    this.#forget();
    this.found = this.#findPoints(state, signal);
    return this.#tried(async () => {
      await this.found;
      await this.#decodeHere(signal);
      await this.#decodeSquare(state, signal);
    });
  }

  /** Plays another place: at once what is known nearest to it, then its own music. */
  async moved(state) {
    this.state = state;
    if (this.hasFailed) {
      await this.settle(state);
      return;
    }
    const { where } = state;
    const near = where.point ? null : this.cells[nearestCell(where)];
    if (near) this.onMusic(near, where);
    if (this.isAsking) return; // The one that asks sees the new place when it has its answer.
    const { signal } = this.abort;
    await this.#tried(() => this.#decodeHere(signal));
  }

  /** Returns the windows of places of a state, in their order. */
  async places(state, places, signal = this.abort.signal) {
    await this.found;
    const points = places.map((place) => this.pointAt(state, place));
    const size = Math.max(1, Math.min(POINTS_AT_ONCE, Math.floor(STEPS_AT_ONCE / this.backend.model.num_steps)));
    const windows = [];
    for (let first = 0; first < points.length; first += size) {
      const { windows: some } = await this.backend.decode(points.slice(first, first + size), state.temperature, state.seed, signal);
      windows.push(...some);
    }
    return windows;
  }

  #forget() {
    this.cells = Array(GRID * GRID).fill(null);
  }

  /** Says whether an action was done: not where it failed or a newer state came first. */
  async #tried(action) {
    try {
      await action();
      return true;
    } catch (error) {
      if (error.name !== 'AbortError') {
        this.hasFailed = true;
        this.fail(error);
      }
      return false;
    }
  }

  async #findPoints(state, signal) {
    const unknown = state.corners.filter((corner) => !corner.point);
    if (!unknown.length) return;
    const dice = unknown.map(({ prior, seed }) => ({ prior, seed, index: 0 }));
    const { points } = await this.backend.decode(dice, state.temperature, state.seed, signal);
    unknown.forEach((corner, index) => { corner.point = points[index]; });
  }

  async #decodeHere(signal) {
    this.asking = signal;
    try {
      let where;
      do {
        ({ where } = this.state);
        const [window] = await this.places(this.state, [where], signal);
        signal.throwIfAborted();
        this.onMusic(window.notes, where, window.tokens);
      } while (!isSame(where, this.state.where));
    } finally {
      if (this.asking === signal) this.asking = null;
    }
  }

  async #decodeSquare(state, signal) {
    const places = squarePlaces(GRID);
    const size = Math.max(1, Math.floor(STEPS_AT_ONCE / this.backend.model.num_steps));
    for (let first = 0; first < places.length; first += size) {
      const windows = await this.places(state, places.slice(first, first + size), signal);
      signal.throwIfAborted();
      windows.forEach((window, index) => { this.cells[first + index] = window.notes; });
      this.onCells(this.cells);
    }
  }
}
