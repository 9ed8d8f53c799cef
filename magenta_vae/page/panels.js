// The panels of attributes and of tracks.

import { LIMITS } from './limits.js';
import { measure } from './music.js';

const [LEAST, MOST] = LIMITS.attribute;

/** A slider for each attribute, and what the music has of the attribute. */
export class Sliders {
  /** onChange(strengths by name). */
  constructor(section, model, onChange) {
    Object.assign(this, { model, onChange });
    this.strengths = {};
    section.hidden = !model.attributes.length;
    this.rows = model.attributes.map(({ name, label, works }) => this.#makeRow(name, works ? label : `${label} (does little here)`));
    section.querySelector('#sliders').replaceChildren(...this.rows);
    section.querySelector('#reset').addEventListener('click', () => this.#changed({}));
  }

  show(strengths) {
    this.strengths = { ...strengths };
    this.model.attributes.forEach(({ name }, index) => {
      const [, slider, output] = this.rows[index].children;
      slider.value = strengths[name] ?? 0;
      output.textContent = slider.value;
    });
  }

  /** Shows what a window's notes have of each attribute. */
  measure(notes) {
    const { attributes, tracks, num_bars: numBars } = this.model;
    attributes.forEach(({ name, unit }, index) => {
      const value = measure(name, notes, tracks, numBars);
      const number = unit === 'share' ? `${Math.round(100 * value)} %` : `${value.toFixed(1)} ${unit}`;
      this.rows[index].children[3].textContent = Number.isNaN(value) ? 'none' : number;
    });
  }

  #changed(strengths) {
    this.show(strengths);
    this.onChange({ ...strengths });
  }

  #makeRow(name, label) {
    const row = document.createElement('div');
    row.className = 'slider';
    row.innerHTML = `<label></label><input type="range" min="${LEAST}" max="${MOST}" step="0.1"><output aria-live="off"></output><span class="measured"></span>`;
    const [caption, slider] = row.children;
    slider.id = `attribute-${name}`;
    caption.htmlFor = slider.id;
    caption.textContent = label;
    slider.addEventListener('input', () => this.#changed({ ...this.strengths, [name]: Number(slider.value) }));
    slider.addEventListener('dblclick', () => this.#changed({ ...this.strengths, [name]: 0 }));
    return row;
  }
}

/** Mute and solo of each track, where there are several. */
export class TrackButtons {
  /** onChange(audible), a truth value for each track. */
  constructor(section, tracks, onChange) {
    Object.assign(this, { tracks, onChange });
    this.buttons = [];
    if (tracks.length > 1) section.replaceChildren(...tracks.flatMap((track, index) => this.#make(track, index)));
  }

  show(audible) {
    this.audible = audible;
    this.buttons.forEach(({ mute, solo }, index) => {
      mute.setAttribute('aria-pressed', !audible[index]);
      solo.setAttribute('aria-pressed', this.#isSolo(index));
    });
  }

  #isSolo(index) {
    return this.audible.every((on, i) => on === (i === index));
  }

  #make(track, index) {
    const name = document.createElement('span');
    name.textContent = track.name;
    const [mute, solo] = ['Mute', 'Solo'].map((word) => {
      const button = document.createElement('button');
      button.textContent = word;
      button.setAttribute('aria-label', `${word} ${track.name}`);
      return button;
    });
    mute.addEventListener('click', () => this.onChange(this.audible.map((on, i) => (i === index ? !on : on))));
    solo.addEventListener('click', () => {
      const wasSolo = this.#isSolo(index);
      this.onChange(this.audible.map((_, i) => wasSolo || i === index));
    });
    this.buttons.push({ mute, solo });
    return [name, mute, solo];
  }
}
