// A map of windows by two principal components: dots to hear, and where the page's own music lies.

import { distance, floatsOfText } from './latent.js';
import { colours, fitted } from './roll.js';

const EDGE = 14; // Pixels.
const SCALE = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis

/** Returns the colour of a share, 0 to 1. */
function scaleColour(value) {
  const at = Math.min(1, Math.max(0, value)) * (SCALE.length - 1);
  const index = Math.min(SCALE.length - 2, Math.floor(at));
  const mixed = SCALE[index].map((low, i) => Math.round(low + (at - index) * (SCALE[index + 1][i] - low)));
  return `rgb(${mixed.join(' ')})`;
}

export class LatentMap {
  /** onChoose(index) of a dot that was clicked or reached by the keyboard. */
  constructor(canvas, map, zSize, onChoose) {
    Object.assign(this, { canvas, map, onChoose });
    const numbers = floatsOfText(map.points);
    this.points = map.windows.map((_, index) => numbers.slice(index * zSize, (index + 1) * zSize));
    this.chosen = null;
    this.here = null;
    this.attribute = 0;
    const [xs, ys] = ['x', 'y'].map((axis) => map.windows.map((window) => window[axis]));
    this.bounds = { left: Math.min(...xs), right: Math.max(...xs), low: Math.min(...ys), high: Math.max(...ys) };
    canvas.addEventListener('pointerdown', (event) => this.#click(event));
    canvas.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Returns the range of the attribute that colours the dots: 5th to 95th percentile. */
  range() {
    const values = this.map.windows.map((window) => window.values[this.attribute])
      .filter((value) => value !== null && Number.isFinite(value)).sort((a, b) => a - b);
    if (!values.length) return null;
    return [0.05, 0.95].map((share) => values[Math.floor(share * (values.length - 1))]);
  }

  /** Returns the window that is nearest to a point: {index, distance}. */
  nearest(point) {
    const distances = this.points.map((each) => distance(each, point));
    const index = distances.indexOf(Math.min(...distances));
    return { index, distance: distances[index] };
  }

  /** Marks where a point of the latent space lies. */
  mark(point) {
    const along = (axis) => axis.reduce((sum, value, i) => sum + value * (point[i] - this.map.mean[i]), 0);
    const [x, y] = this.map.axes.map(along);
    this.here = { x, y };
    this.draw();
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    const colour = colours(this.canvas);
    const range = this.range();
    this.map.windows.forEach((window, index) => {
      const [x, y] = this.#toPixels(window, width, height);
      const value = window.values[this.attribute];
      const isKnown = range && value !== null && Number.isFinite(value);
      context.fillStyle = isKnown ? scaleColour((value - range[0]) / (range[1] - range[0] || 1)) : colour('quiet');
      context.beginPath();
      context.arc(x, y, index === this.chosen ? 6 : 3.5, 0, 2 * Math.PI);
      context.fill();
      const isChosen = index === this.chosen;
      context.lineWidth = isChosen ? 2 : 0.8; // Dots as dark or bright as the ground have an edge.
      context.strokeStyle = colour(isChosen ? 'ink' : 'quiet');
      context.stroke();
    });
    if (this.here) {
      const [x, y] = this.#toPixels(this.here, width, height);
      context.lineWidth = 2.5;
      context.strokeStyle = colour('playhead');
      context.beginPath();
      context.moveTo(x - 9, y);
      context.lineTo(x + 9, y);
      context.moveTo(x, y - 9);
      context.lineTo(x, y + 9);
      context.stroke();
    }
  }

  #toPixels({ x, y }, width, height) {
    const { left, right, low, high } = this.bounds;
    const across = EDGE + ((x - left) / (right - left || 1)) * (width - 2 * EDGE);
    const down = EDGE + ((high - y) / (high - low || 1)) * (height - 2 * EDGE);
    return [Math.min(width - 2, Math.max(2, across)), Math.min(height - 2, Math.max(2, down))];
  }

  #choose(index) {
    this.chosen = index;
    this.draw();
    this.onChoose(index);
  }

  #places() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return this.map.windows.map((window) => this.#toPixels(window, width, height));
  }

  #click(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const distances = this.#places().map((place) => Math.hypot(place[0] - x, place[1] - y));
    this.#choose(distances.indexOf(Math.min(...distances)));
  }

  #key(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!arrow) return;
    event.preventDefault();
    const places = this.#places();
    const from = places[this.chosen ?? 0];
    // Of the dots that lie that way, the one nearest, off the way counted twice.
    const costs = places.map((place, index) => {
      const [dx, dy] = [place[0] - from[0], place[1] - from[1]];
      const ahead = dx * arrow[0] + dy * arrow[1];
      const aside = Math.abs(dx * arrow[1]) + Math.abs(dy * arrow[0]);
      return index === this.chosen || ahead <= 0 ? Infinity : ahead + 2 * aside;
    });
    const best = costs.indexOf(Math.min(...costs));
    if (costs[best] < Infinity) this.#choose(best);
  }
}
