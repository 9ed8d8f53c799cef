// What is decoded, and when: the place that is played first, then the square around it.

import { between, squarePlaces, withAttributes } from './latent.js';
import { GRID, nearestCell } from './pad.js';

const POINTS_AT_ONCE = 64;
const STEPS_AT_ONCE = 2048; // Of all points of a request: more would keep the place that is played waiting.

const isSame = (a, b) => a === b || (a.x === b.x && a.y === b.y && a.point === b.point);

/** Keeps the music of a state's places; a newer state drops what an older one still asks for. */
export class Decoding {
  /** onMusic(notes) of the place that is played; onCells(cells) of the square. */
  constructor(backend, { onMusic, onCells, fail }) {
    Object.assign(this, { backend, onMusic, onCells, fail });
    this.vectors = Object.fromEntries(backend.model.attributes.map(({ name, vector }) => [name, vector]));
    this.abort = new AbortController();
    this.cells = Array(GRID * GRID).fill(null);
    this.isAsking = false;
  }

  /** Returns the point of a place of a state, with its attributes. */
  pointAt(state, where) {
    const base = where.point ?? between(state.corners.map((corner) => corner.point), where.x, where.y);
    return withAttributes(base, state.attributes, this.vectors);
  }

  /** Decodes anew all that a state shows: after its corners, attributes, temperature or seed. */
  async settle(state) {
    this.abort.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.state = state;
    this.cells = Array(GRID * GRID).fill(null);
    try {
      await this.#findPoints(state, signal);
      await this.#decodeHere(signal);
      await this.#decodeSquare(state, signal);
    } catch (error) {
      if (error.name !== 'AbortError') this.fail(error);
    }
  }

  /** Plays another place: at once what is known nearest to it, then its own music. */
  async moved(state) {
    this.state = state;
    const { where } = state;
    const near = where.point ? null : this.cells[nearestCell(where)];
    if (near) this.onMusic(near, where);
    if (this.isAsking) return; // The one that asks sees the new place when it has its answer.
    const { signal } = this.abort;
    try {
      await this.#decodeHere(signal);
    } catch (error) {
      if (error.name !== 'AbortError') this.fail(error);
    }
  }

  /** Returns the windows of places of a state, in their order. */
  async places(state, places, signal = this.abort.signal) {
    const points = places.map((place) => this.pointAt(state, place));
    const size = Math.max(1, Math.min(POINTS_AT_ONCE, Math.floor(STEPS_AT_ONCE / this.backend.model.num_steps)));
    const windows = [];
    for (let first = 0; first < points.length; first += size) {
      const { windows: some } = await this.backend.decode(points.slice(first, first + size), state.temperature, state.seed, signal);
      windows.push(...some);
    }
    return windows;
  }

  async #findPoints(state, signal) {
    const unknown = state.corners.filter((corner) => !corner.point);
    if (!unknown.length) return;
    const dice = unknown.map(({ prior, seed }) => ({ prior, seed, index: 0 }));
    const { points } = await this.backend.decode(dice, state.temperature, state.seed, signal);
    unknown.forEach((corner, index) => { corner.point = points[index]; });
  }

  async #decodeHere(signal) {
    this.isAsking = true;
    try {
      let where;
      do {
        ({ where } = this.state);
        const [window] = await this.places(this.state, [where], signal);
        if (!signal.aborted) this.onMusic(window.notes, where, window.tokens);
      } while (!signal.aborted && !isSame(where, this.state.where));
    } finally {
      this.isAsking = false;
    }
  }

  async #decodeSquare(state, signal) {
    const places = squarePlaces(GRID);
    const size = Math.max(1, Math.floor(STEPS_AT_ONCE / this.backend.model.num_steps));
    for (let first = 0; first < places.length; first += size) {
      const windows = await this.places(state, places.slice(first, first + size), signal);
      if (signal.aborted) return;
      windows.forEach((window, index) => { this.cells[first + index] = window.notes; });
      this.onCells(this.cells);
    }
  }
}
