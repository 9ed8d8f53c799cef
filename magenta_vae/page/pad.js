// The square between four corners: small pictures of its music, a handle, and paths drawn by hand.

import { squarePlaces } from './latent.js';
import { colours, drawSmall, fitted } from './roll.js';

export const GRID = 7;
const KEY_STEP = 1 / (2 * (GRID - 1));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SNAP = 0.02; // How near to a point of the grid a place is taken for it.
const MARGIN = 0.07; // Of the square, around the outermost points.

const clamp = (value) => Math.min(1, Math.max(0, value));

function snapped(value) {
  const nearest = Math.round(value * (GRID - 1)) / (GRID - 1);
  return Math.abs(value - nearest) < SNAP ? nearest : value;
}

/** Returns the index of the point of the grid that is nearest to a place. */
export function nearestCell({ x, y }) {
  return Math.round(y * (GRID - 1)) * GRID + Math.round(x * (GRID - 1));
}

/** Returns `count` places at equal distances along a line of places. */
export function resampled(places, count) {
  const lengths = places.slice(1).map((place, i) => Math.hypot(place.x - places[i].x, place.y - places[i].y));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return Array.from({ length: count }, (_, index) => {
    let rest = (total * index) / (count - 1);
    let segment = 0;
    while (segment < lengths.length - 1 && rest > lengths[segment]) rest -= lengths[segment++];
    const share = lengths[segment] ? Math.min(1, rest / lengths[segment]) : 0;
    const [from, to] = [places[segment], places[segment + 1]];
    return { x: from.x + share * (to.x - from.x), y: from.y + share * (to.y - from.y) };
  });
}

export class Pad {
  /** onMove(place); onPath(places) of a path that was drawn. */
  constructor(canvas, model, { onMove, onPath }) {
    Object.assign(this, { canvas, model, onMove, onPath });
    this.place = null;
    this.path = null;
    this.isDrawing = false; // Whether a drag draws a path.
    this.cells = Array(GRID * GRID).fill(null);
    canvas.addEventListener('pointerdown', (event) => this.#down(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', () => this.#up());
    canvas.addEventListener('pointercancel', () => this.#up());
    canvas.addEventListener('keydown', (event) => this.#key(event));
    this.drag = null;
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    const colour = colours(this.canvas);
    const cell = (width * (1 - 2 * MARGIN)) / (GRID - 1);
    squarePlaces(GRID).forEach((place, index) => {
      const [x, y] = this.#toPixels(place, width, height);
      const size = cell * 0.84;
      const box = [x - size / 2, y - size / 2, size, size];
      context.fillStyle = colour('cell');
      context.beginPath();
      context.roundRect(...box, 5);
      context.fill();
      const corner = [0, GRID - 1, GRID * (GRID - 1), GRID * GRID - 1].indexOf(index);
      if (corner >= 0) {
        context.font = '600 12px system-ui, sans-serif';
        context.fillStyle = colour('quiet');
        context.fillText(corner + 1, corner % 2 ? x + size / 2 - 10 : x - size / 2 + 3, corner < 2 ? y - size / 2 + 12 : y + size / 2 - 4);
      }
      if (this.cells[index]) drawSmall(context, this.cells[index], this.model, colour, [box[0] + 3, box[1] + 3, size - 6, size - 6]);
    });
    if (this.path) this.#drawPath(context, colour, width, height);
    if (this.place) {
      const [x, y] = this.#toPixels(this.place, width, height);
      context.beginPath();
      context.arc(x, y, 11, 0, 2 * Math.PI);
      context.lineWidth = 4;
      context.strokeStyle = colour('ground');
      context.stroke();
      context.lineWidth = 2.5;
      context.strokeStyle = colour('playhead');
      context.stroke();
    }
  }

  #drawPath(context, colour, width, height) {
    context.beginPath();
    this.path.forEach((place, index) => {
      const [x, y] = this.#toPixels(place, width, height);
      if (index) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.lineWidth = 2;
    context.strokeStyle = colour('playhead');
    context.stroke();
  }

  #toPixels({ x, y }, width, height) {
    return [x, y].map((value, axis) => (MARGIN + value * (1 - 2 * MARGIN)) * (axis ? height : width));
  }

  #placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const [across, down] = [x, y].map((value) => clamp((value - MARGIN) / (1 - 2 * MARGIN)));
    return { x: across, y: down };
  }

  #down(event) {
    if (event.button || this.drag) return; // Another button, another finger.
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = [this.#placeOf(event)];
    if (this.isDrawing) this.path = this.drag;
    else this.#choose(this.drag[0]);
  }

  #move(event) {
    if (!this.drag) return;
    const place = this.#placeOf(event);
    if (!this.isDrawing) {
      this.#choose(place);
      return;
    }
    const last = this.drag.at(-1);
    if (Math.hypot(place.x - last.x, place.y - last.y) > 0.01) this.drag.push(place);
    this.draw();
  }

  #up() {
    const drawn = this.drag;
    this.drag = null;
    if (this.isDrawing && drawn) {
      if (drawn.length > 1) this.onPath(drawn);
      else this.path = null;
      this.draw();
    }
  }

  #key(event) {
    if (event.key === 'Enter' && this.isDrawing && this.path) this.onPath(this.path);
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const step = KEY_STEP * (event.shiftKey ? 2 : 1);
    const from = (this.isDrawing && this.path?.at(-1)) || this.place || { x: 0.5, y: 0.5 };
    const to = { x: clamp(from.x + arrow[0] * step), y: clamp(from.y + arrow[1] * step) };
    if (this.isDrawing) {
      this.path = [...(this.path ?? [from]), to];
      this.draw();
    } else this.#choose(to);
  }

  #choose(place) {
    this.onMove({ x: snapped(place.x), y: snapped(place.y) });
  }
}
