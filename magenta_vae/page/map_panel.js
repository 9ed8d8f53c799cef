// The panel of the map: what is shown, by which colour, and what is nearest to the music.

import { CORNER_NAMES } from './corners.js';
import { LatentMap } from './map.js';

export class MapPanel {
  /** handlers: choose({point, title}) of a dot, pin(index) of a corner. */
  constructor(section, model, handlers) {
    Object.assign(this, { model, handlers });
    this.parts = Object.fromEntries(['what', 'area', 'attribute', 'range', 'corners'].map((part) => [part, section.querySelector(`#map-${part}`)]));
    this.canvas = section.querySelector('#map');
    this.near = section.querySelector('#nearest');
    this.map = null;
  }

  /** Asks the backend for the map and shows it, or why there is none. */
  async open(backend) {
    const { what, area, attribute, corners } = this.parts;
    if (!this.model.can.map) {
      what.textContent = this.model.why_not?.map ?? 'This model has no map.';
      return;
    }
    let map;
    try {
      map = await backend.map();
    } catch (error) {
      what.textContent = error.message;
      return;
    }
    const shares = map.explained.map((share) => `${Math.round(100 * share)} %`).join(' and ');
    what.textContent = `${map.what}. Across and down: the two directions in which they differ most, ${shares} of all.`;
    area.hidden = false;
    this.map = new LatentMap(this.canvas, map, this.model.z_size, (index) => {
      this.handlers.choose({ point: this.map.points[index], title: this.#name(index) });
    });
    attribute.replaceChildren(...map.attributes.map(({ label }, index) => new Option(label, index)));
    attribute.addEventListener('change', () => {
      this.map.attribute = Number(attribute.value);
      this.#showRange();
      this.map.draw();
    });
    corners.append(...CORNER_NAMES.map((name, index) => {
      const button = document.createElement('button');
      button.textContent = index + 1;
      button.setAttribute('aria-label', `Put this music at the corner ${name}`);
      button.addEventListener('click', () => this.handlers.pin(index));
      return button;
    }));
    this.#showRange();
  }

  /** Shows where a point lies, and the window that is nearest to it. */
  mark(point) {
    if (!this.map) return;
    this.map.mark(point);
    const { index, distance } = this.map.nearest(point);
    this.near.textContent = `Nearest of them: ${this.#name(index)} (${distance.toFixed(1)} away).`;
  }

  draw() {
    this.map?.draw();
  }

  #name(index) {
    const { song, text } = this.map.map.windows[index];
    return [song, text].filter(Boolean).join(', ');
  }

  #showRange() {
    const range = this.map.range();
    this.parts.range.textContent = range ? `dark dots: ${range[0].toFixed(2)}, bright dots: ${range[1].toFixed(2)}` : '';
  }
}
