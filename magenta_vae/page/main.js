// The page: its state, and what its parts tell one another.

import { CORNER_NAMES, Corner } from './corners.js';
import { Decoding } from './decoding.js';
import { LatentMap } from './map.js';
import { midiBytes, wavBytes } from './midi.js';
import { describe, measure } from './music.js';
import { Pad, resampled } from './pad.js';
import * as permalink from './permalink.js';
import { Roll } from './roll.js';
import { Player, render } from './sound.js';

const JOURNEY_WINDOWS = 8;
const MAX_HISTORY = 50;
const MAX_SEED = 2 ** 32;
const byId = (id) => document.getElementById(id);
const randomSeed = () => Math.floor(Math.random() * 100000);

class Explorer {
  constructor(backend) {
    const { model } = backend;
    Object.assign(this, { backend, model });
    this.programs = model.tracks.map((track) => track.output_program);
    const usual = {
      corners: [1, 2, 3, 4].map((seed) => ({ kind: 'dice', prior: model.priors[0], seed })),
      where: { kind: 'pad', x: 0.5, y: 0.5 },
      journey: null,
      attributes: {},
      temperature: 0.5,
      seed: 0,
      qpm: model.quarters_per_minute,
      audible: model.tracks.map(() => true),
    };
    this.state = { ...usual, ...this.#readLink(usual) };
    this.history = CORNER_NAMES.map(() => []);
    this.shown = [[]]; // The windows that are played: one, or those of a journey.

    this.decoding = new Decoding(backend, {
      onMusic: (notes, where, tokens) => this.#onMusic(notes, tokens),
      onCells: (cells) => {
        this.pad.cells = cells;
        this.pad.draw();
      },
      fail: (error) => this.fail(error),
    });
    this.player = new Player(model, this.programs);
    this.roll = new Roll(byId('roll'), model);
    this.pad = new Pad(byId('pad'), model, {
      onMove: (place) => this.#moveTo({ kind: 'pad', ...place }),
      onPath: (places) => this.#startJourney(resampled(places, JOURNEY_WINDOWS)),
    });
    this.corners = CORNER_NAMES.map((_, index) => this.#makeCorner(index));
    this.#wire();
    this.#showState();
  }

  async open() {
    await this.#settle();
    byId('play').disabled = false;
    byId('play').focus();
    // Where the browser lets a page sound by itself it sounds; else the first key or click starts it.
    if (this.player.mayStart) await this.#play();
    else this.tell('Press Space, or click anywhere, to hear it.');
    this.#openMap();
  }

  // What is decoded, and played.

  async #settle() {
    this.pad.cells.fill(null);
    this.#saveLink();
    this.#markMap();
    await this.decoding.settle(this.state);
    if (this.state.journey) await this.#startJourney(this.state.journey);
  }

  #onMusic(notes, tokens = null) {
    if (this.state.journey) return;
    this.tokens = tokens;
    this.#show([notes]);
  }

  #show(windows) {
    this.shown = windows;
    this.player.setSequence(windows);
    const [notes] = windows;
    this.roll.draw(notes);
    byId('roll').setAttribute('aria-label', describe(notes, this.model.tracks));
    byId('what').textContent = this.#whatIsPlayed();
    this.#showMeasures(notes);
    this.#offerMidi();
  }

  #whatIsPlayed() {
    const { where, journey } = this.state;
    if (journey) return `A journey of ${journey.length} windows`;
    if (where.kind === 'point') return where.title || 'A point of the map';
    const corner = [0, 1, 2, 3].find((index) => where.x === index % 2 && where.y === Math.floor(index / 2));
    if (corner !== undefined) return `Corner ${corner + 1}: ${this.corners[corner].parts.title.textContent}`;
    return `Between the corners, at ${where.x.toFixed(2)}, ${where.y.toFixed(2)}`;
  }

  #moveTo(where) {
    this.state.where = where;
    this.#endJourney();
    this.pad.place = where.kind === 'pad' ? where : null;
    this.pad.draw();
    this.#markMap();
    this.decoding.moved(this.state);
    this.#saveLink();
    if (!this.player.isPlaying) this.#play();
  }

  async #startJourney(places) {
    this.state.journey = places;
    this.pad.path = places;
    this.#setDrawing(false);
    byId('end-journey').hidden = false;
    try {
      const windows = await this.decoding.places(this.state, places);
      if (this.state.journey !== places) return;
      this.#show(windows.map((window) => window.notes));
      this.#saveLink();
      if (!this.player.isPlaying && this.player.mayStart) this.#play();
    } catch (error) {
      if (error.name !== 'AbortError') this.fail(error);
    }
  }

  #endJourney() {
    this.state.journey = null;
    this.pad.path = null;
    byId('end-journey').hidden = true;
  }

  #setDrawing(isDrawing) {
    this.pad.isDrawing = isDrawing;
    byId('journey').setAttribute('aria-pressed', isDrawing);
    if (isDrawing) this.tell('Draw a line through the square: its music is played from end to end.');
  }

  async #play() {
    try {
      await this.player.start();
    } catch (error) {
      this.fail(new Error(`The browser plays no sound: ${error.message}`));
    }
    this.#showPlaying();
  }

  #toggle() {
    if (this.player.isPlaying) {
      this.player.stop();
      this.#showPlaying();
    } else this.#play();
  }

  #showPlaying() {
    byId('play-word').textContent = this.player.isPlaying ? 'Stop' : 'Play';
    byId('play').firstElementChild.textContent = this.player.isPlaying ? '■' : '▶';
    if (this.player.isPlaying) this.#animate();
  }

  #animate() {
    if (this.isAnimating) return;
    this.isAnimating = true;
    const frame = () => {
      const position = this.player.position();
      const window = Math.min(position?.window ?? 0, this.shown.length - 1);
      this.roll.draw(this.shown[window], position?.step ?? null);
      const level = this.player.level();
      byId('level').value = Number.isFinite(level) ? level : -60;
      this.isAnimating = this.player.isPlaying;
      if (this.isAnimating) requestAnimationFrame(frame);
      else this.roll.draw(this.shown[0]);
    };
    requestAnimationFrame(frame);
  }

  // Corners.

  #makeCorner(index) {
    const card = byId('corner').content.firstElementChild.cloneNode(true);
    byId('corners').append(card);
    return new Corner(card, index, this.model, {
      set: (at, corner) => this.#setCorner(at, corner),
      undo: (at) => this.#undo(at),
      go: (at) => this.#moveTo({ kind: 'pad', x: at % 2, y: Math.floor(at / 2) }),
      roll: (at) => this.#rollCorners([at]),
      encode: (file, choice) => this.backend.encode(file, choice),
      tempo: (qpm) => this.#setTempo(Math.round(qpm)),
      fail: (error) => this.fail(error),
      changed: () => this.#showCorners(),
    });
  }

  #setCorner(index, corner) {
    this.#keep(index);
    this.state.corners[index] = corner;
    this.#showCorners();
    this.tell(`Corner ${index + 1} is ${this.corners[index].parts.title.textContent}.`);
    this.#settle();
  }

  #keep(index) {
    this.history[index] = [...this.history[index], this.state.corners[index]].slice(-MAX_HISTORY);
  }

  #undo(index) {
    const before = this.history[index].pop();
    if (!before || this.corners[index].isLocked) return;
    this.state.corners[index] = before;
    this.#showCorners();
    this.#settle();
  }

  #rollCorners(indices) {
    const free = indices.filter((index) => !this.corners[index].isLocked);
    if (!free.length) {
      this.fail(new Error('Every corner that was to be rolled is locked.'));
      return;
    }
    for (const index of free) {
      this.#keep(index);
      this.state.corners[index] = { kind: 'dice', prior: this.model.priors[0], seed: randomSeed() };
    }
    this.#showCorners();
    this.tell('');
    this.#settle();
  }

  #showCorners() {
    this.corners.forEach((card, index) => card.show(this.state.corners[index], this.history[index].length > 0));
  }

  // Controls.

  #wire() {
    byId('play').addEventListener('click', () => this.#toggle());
    byId('tempo').addEventListener('change', (event) => this.#setTempo(Number(event.target.value)));
    byId('temperature').addEventListener('input', (event) => {
      this.state.temperature = Number(event.target.value);
      byId('temperature-value').textContent = this.state.temperature.toFixed(2);
      this.#settle();
    });
    byId('seed').addEventListener('change', (event) => this.#setSeed(Number(event.target.value)));
    byId('roll-seed').addEventListener('click', () => this.#setSeed(randomSeed()));
    byId('roll-all').addEventListener('click', () => this.#rollCorners([0, 1, 2, 3]));
    byId('journey').addEventListener('click', () => this.#setDrawing(!this.pad.isDrawing));
    byId('end-journey').addEventListener('click', () => this.#moveTo(this.state.where));
    byId('reset').addEventListener('click', () => {
      this.state.attributes = {};
      this.#showState();
      this.#settle();
    });
    byId('wav').addEventListener('click', () => this.#saveWav());
    byId('link').addEventListener('click', () => this.#copyLink());
    byId('midi').addEventListener('dragstart', (event) => {
      const { download, href } = byId('midi');
      event.dataTransfer.setData('DownloadURL', `audio/midi:${download}:${href}`);
    });
    document.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('pointerdown', (event) => {
      if (!this.hasStarted && !event.target.closest('#play')) this.#play();
      this.hasStarted = true;
    });
    window.addEventListener('hashchange', () => location.reload());
    new ResizeObserver(() => this.#redraw()).observe(document.body);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#redraw());
    this.#makeSliders();
    this.#makeTracks();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input:not([type="range"]), select, textarea')) return;
    const isButton = event.target.closest('button, a');
    const corner = ['1', '2', '3', '4'].indexOf(event.key);
    if (event.key === ' ' && !isButton) {
      event.preventDefault();
      this.hasStarted = true;
      this.#toggle();
    } else if (corner >= 0) this.#rollCorners([corner]);
    else if (event.key === 'r' || event.key === 'R') this.#rollCorners([0, 1, 2, 3]);
    else if (event.key === 'j' || event.key === 'J') this.#setDrawing(!this.pad.isDrawing);
    else if (event.key === 'Escape' && this.state.journey) this.#moveTo(this.state.where);
  }

  #setTempo(qpm) {
    if (!(qpm >= 40 && qpm <= 240)) {
      this.fail(new Error(`The tempo must be 40 to 240 quarters a minute. Received: ${qpm}.`));
    } else this.state.qpm = qpm;
    byId('tempo').value = this.state.qpm;
    this.player.setTempo(this.state.qpm);
    this.#saveLink();
    this.#offerMidi();
  }

  #setSeed(seed) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed < MAX_SEED)) {
      this.fail(new Error(`The seed must be a whole number of 0 to 4,294,967,295. Received: ${seed}.`));
    } else this.state.seed = seed;
    byId('seed').value = this.state.seed;
    this.#settle();
  }

  #makeSliders() {
    byId('attributes').hidden = !this.model.attributes.length;
    byId('sliders').replaceChildren(...this.model.attributes.map(({ name, label, works }) => {
      const row = document.createElement('div');
      row.className = 'slider';
      row.innerHTML = '<label></label><input type="range" min="-2" max="2" step="0.1"><output></output><span class="measured"></span>';
      const [caption, slider, output] = row.children;
      slider.id = `attribute-${name}`;
      caption.htmlFor = slider.id;
      caption.textContent = works ? label : `${label} (does little here)`;
      slider.addEventListener('input', () => {
        this.state.attributes[name] = Number(slider.value);
        output.textContent = slider.value;
        this.#settle();
      });
      slider.addEventListener('dblclick', () => {
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
      });
      return row;
    }));
  }

  #makeTracks() {
    const { tracks } = this.model;
    if (tracks.length < 2) return;
    byId('tracks').replaceChildren(...tracks.flatMap((track, index) => {
      const [name, mute, solo] = ['span', 'button', 'button'].map((kind) => document.createElement(kind));
      name.textContent = track.name;
      mute.textContent = 'Mute';
      solo.textContent = 'Solo';
      mute.setAttribute('aria-label', `Mute ${track.name}`);
      solo.setAttribute('aria-label', `Solo ${track.name}`);
      mute.addEventListener('click', () => this.#setAudible(this.state.audible.map((on, i) => (i === index ? !on : on))));
      solo.addEventListener('click', () => {
        const isSolo = this.state.audible.every((on, i) => on === (i === index));
        this.#setAudible(tracks.map((_, i) => isSolo || i === index));
      });
      this.trackButtons = [...(this.trackButtons ?? []), { mute, solo }];
      return [name, mute, solo];
    }));
  }

  #setAudible(audible) {
    this.state.audible = audible;
    this.player.audible = audible;
    this.roll.audible = audible;
    this.roll.draw();
    this.trackButtons?.forEach(({ mute, solo }, index) => {
      mute.setAttribute('aria-pressed', !audible[index]);
      solo.setAttribute('aria-pressed', audible.every((on, i) => on === (i === index)));
    });
    this.#saveLink();
  }

  #showMeasures(notes) {
    this.model.attributes.forEach(({ name, unit }, index) => {
      const value = measure(name, notes, this.model.tracks, this.model.num_bars);
      const text = Number.isNaN(value) ? 'none' : unit === 'share' ? `${Math.round(100 * value)} %` : `${value.toFixed(1)} ${unit}`;
      byId('sliders').children[index].querySelector('.measured').textContent = text;
    });
  }

  #showState() {
    const { state, model } = this;
    byId('name').textContent = model.name;
    document.title = `${model.name} · magenta_vae`;
    byId('description').textContent = model.description;
    byId('licence').textContent = [model.licence && `Licence of the model: ${model.licence}.`, ...(model.attribution ?? []).map((each) => `Music: ${each}`)]
      .filter(Boolean).join(' ');
    byId('tempo').value = state.qpm;
    byId('temperature').value = state.temperature;
    byId('temperature-value').textContent = state.temperature.toFixed(2);
    byId('seed').value = state.seed;
    for (const { name } of model.attributes) {
      const row = byId(`attribute-${name}`).parentElement;
      row.children[1].value = state.attributes[name] ?? 0;
      row.children[2].textContent = state.attributes[name] ?? 0;
    }
    this.player.setTempo(state.qpm);
    this.pad.place = state.where.kind === 'pad' ? state.where : null;
    this.#setAudible(state.audible);
    this.#showCorners();
  }

  #redraw() {
    this.pad.draw();
    this.roll.draw();
    this.map?.draw();
  }

  // The map.

  async #openMap() {
    if (!this.model.can.map) {
      byId('map-what').textContent = this.model.why_not?.map ?? 'This model has no map.';
      return;
    }
    let map;
    try {
      map = await this.backend.map();
    } catch (error) {
      byId('map-what').textContent = error.message;
      return;
    }
    const shares = map.explained.map((share) => `${Math.round(100 * share)} %`).join(' and ');
    byId('map-what').textContent = `${map.what}. Across and down: the two directions in which they differ most, ${shares} of all.`;
    byId('map-area').hidden = false;
    this.map = new LatentMap(byId('map'), map, this.model.z_size, (index) => {
      this.#moveTo({ kind: 'point', point: this.map.points[index], title: this.#dotName(index) });
    });
    byId('map-attribute').replaceChildren(...map.attributes.map(({ label }, index) => new Option(label, index)));
    byId('map-attribute').addEventListener('change', (event) => {
      this.map.attribute = Number(event.target.value);
      this.#showRange();
      this.map.draw();
    });
    byId('map-corners').append(...CORNER_NAMES.map((name, index) => {
      const button = document.createElement('button');
      button.textContent = index + 1;
      button.setAttribute('aria-label', `Put this music at the corner ${name}`);
      button.addEventListener('click', () => this.#pinHere(index));
      return button;
    }));
    this.#showRange();
    this.#markMap();
  }

  #dotName(index) {
    const { song, text } = this.map.map.windows[index];
    return [song, text].filter(Boolean).join(', ') || `Sample ${index + 1}`;
  }

  #showRange() {
    const range = this.map.range();
    byId('map-range').textContent = range ? `dark ${range[0].toFixed(2)}, bright ${range[1].toFixed(2)}` : '';
  }

  #markMap() {
    if (!this.map || !this.state.corners.every((corner) => corner.point)) return;
    const point = this.decoding.pointAt(this.state, this.state.where);
    this.map.mark(point);
    const { index, distance } = this.map.nearest(point);
    byId('nearest').textContent = `Nearest of them: ${this.#dotName(index)} (${distance.toFixed(1)} away).`;
  }

  #pinHere(index) {
    if (this.corners[index].isLocked) {
      this.fail(new Error(`Corner ${index + 1} is locked. Unlock the corner to change it.`));
      return;
    }
    const point = this.decoding.pointAt(this.state, this.state.where);
    this.#setCorner(index, { kind: 'point', point, title: this.#whatIsPlayed() });
  }

  // What is taken along.

  #fileName(ending) {
    const { where, seed, journey } = this.state;
    const place = journey ? 'journey' : where.kind === 'pad' ? `at-${where.x.toFixed(2)}-${where.y.toFixed(2)}` : 'map';
    return `${this.model.name}-${place}-seed${seed}.${ending}`;
  }

  #offerMidi() {
    const link = byId('midi');
    if (link.href) URL.revokeObjectURL(link.href);
    const programs = this.programs;
    const bytes = midiBytes(this.shown, this.model, this.state.qpm, programs);
    link.href = URL.createObjectURL(new Blob([bytes], { type: 'audio/midi' }));
    link.download = this.#fileName('mid');
  }

  async #saveWav() {
    byId('wav').disabled = true;
    try {
      const { shown, model, programs, state } = this;
      const buffer = await render(shown, model, programs, state.qpm, state.audible);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([wavBytes(buffer)], { type: 'audio/wav' }));
      link.download = this.#fileName('wav');
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      this.fail(error);
    } finally {
      byId('wav').disabled = false;
    }
  }

  async #copyLink() {
    this.#saveLink();
    try {
      await navigator.clipboard.writeText(location.href);
      this.tell('The link is copied. It gives the same music again.');
    } catch {
      this.tell('The address of this page is the link: copy it from the address bar.');
    }
  }

  #saveLink() {
    history.replaceState(null, '', `#${permalink.write(this.state, this.model.name)}`);
  }

  #readLink(usual) {
    if (location.hash.length < 2) return {};
    try {
      return permalink.read(location.hash.slice(1), this.model, usual);
    } catch (error) {
      queueMicrotask(() => this.fail(error));
      return {};
    }
  }

  tell(text) {
    byId('message').classList.remove('wrong');
    byId('message').textContent = text;
  }

  fail(error) {
    byId('message').classList.add('wrong');
    byId('message').textContent = error.message;
  }
}

async function main() {
  const setup = JSON.parse(byId('setup').textContent);
  try {
    const { open } = await import(`./backend_${setup.backend}.js`);
    const explorer = new Explorer(await open());
    globalThis.explorer = explorer; // For the console, and for who drives the page.
    await explorer.open();
  } catch (error) {
    byId('description').textContent = error.message;
    byId('message').classList.add('wrong');
    throw error;
  }
}

main();
