// The state of the page, and what its parts tell one another.

import { randomSeed, seedError, showControls, tempoError, wire } from './controls.js';
import { CORNER_NAMES, Corner } from './corners.js';
import { Decoding } from './decoding.js';
import { copyLink, offerMidi, saveWav } from './files.js';
import { LIMITS, within } from './limits.js';
import { MapPanel } from './map_panel.js';
import { describe } from './music.js';
import { Pad, resampled } from './pad.js';
import { Sliders, TrackButtons } from './panels.js';
import * as permalink from './permalink.js';
import { Roll } from './roll.js';
import { Player } from './sound.js';

const JOURNEY_WINDOWS = 8;
const MAX_HISTORY = 50;
const SILENCE = -60; // Decibels: the least that is shown.
const LINK_AFTER = 300; // Milliseconds without a change: browsers allow few new addresses a second.
const INVITATION = 'Press Play, or click or touch anywhere, to hear it.';
const byId = (id) => document.getElementById(id);

/** Returns what a page shows that no link says otherwise of. */
function usualState(model) {
  return {
    corners: [1, 2, 3, 4].map((seed) => ({ kind: 'dice', prior: model.priors[0], seed })),
    where: { kind: 'pad', x: 0, y: 0 },
    journey: null, // Places that are played one after another.
    attributes: {},
    temperature: 0.5,
    seed: 0,
    qpm: model.quarters_per_minute,
    audible: model.tracks.map(() => true),
  };
}

export class Explorer {
  constructor(backend) {
    const { model } = backend;
    Object.assign(this, { backend, model });
    this.programs = model.tracks.map((track) => track.output_program);
    this.state = { ...usualState(model), ...this.#readLink() };
    this.history = CORNER_NAMES.map(() => []);
    this.shown = [[]]; // The windows that are played: one, or those of a journey.
    this.decoding = new Decoding(backend, {
      onMusic: (notes) => this.state.journey || this.#show([notes]),
      onCells: (cells) => {
        this.pad.cells = cells;
        this.pad.draw();
      },
      fail: (error) => {
        this.decodingError = error.message;
        this.fail(error);
      },
    });
    this.player = new Player(model, this.programs);
    this.roll = new Roll(byId('roll'), model);
    this.pad = new Pad(byId('pad'), model, {
      onMove: (place) => this.moveTo({ kind: 'pad', ...place }),
      onPath: (places) => this.startJourney(resampled(places, JOURNEY_WINDOWS)),
    });
    this.sliders = new Sliders(byId('attributes'), model, (attributes) => this.#change({ attributes }));
    this.trackButtons = new TrackButtons(byId('tracks'), model.tracks, (audible) => this.setAudible(audible));
    this.mapPanel = new MapPanel(byId('map-panel'), model, {
      choose: ({ point, title }) => this.moveTo({ kind: 'point', point, title }),
      pin: (index) => this.#pin(index),
    });
    this.corners = CORNER_NAMES.map((_, index) => this.#makeCorner(index));
    wire(this);
    window.addEventListener('hashchange', () => location.reload());
    new ResizeObserver(() => this.#redraw()).observe(document.body);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#redraw());
    this.#showState();
  }

  async open() {
    await this.#settle();
    byId('play').disabled = false;
    byId('play').focus();
    if (this.player.mayStart) await this.play();
    else if (!byId('message').textContent) this.tell(INVITATION);
    await this.mapPanel.open(this.backend);
    this.#mark();
  }

  // Places, and what is heard there.

  moveTo(where) {
    this.state.where = where;
    this.#endJourney();
    this.pad.place = where.kind === 'pad' ? where : null;
    this.pad.draw();
    this.#mark();
    byId('what').textContent = this.#whatIsPlayed();
    this.decoding.moved(this.state);
    this.#saveLink();
    if (!this.player.isPlaying) this.play();
  }

  startJourney(places) {
    this.setDrawing(false);
    return this.#playJourney(places);
  }

  async #playJourney(places) {
    this.state.journey = places;
    this.pad.path = places;
    byId('end-journey').hidden = false;
    try {
      const windows = await this.decoding.places(this.state, places);
      if (this.state.journey !== places) return;
      this.#show(windows.map((window) => window.notes));
      this.#saveLink();
      if (!this.player.isPlaying && this.player.mayStart) this.play();
    } catch (error) {
      if (error.name !== 'AbortError') this.fail(error);
    }
  }

  leaveJourney() {
    if (this.state.journey) this.moveTo(this.state.where);
    else this.setDrawing(false);
  }

  setDrawing(isDrawing) {
    this.pad.isDrawing = isDrawing;
    if (isDrawing) {
      this.pad.path = null;
      byId('pad').focus();
    }
    byId('journey').setAttribute('aria-pressed', isDrawing);
    this.tell(isDrawing ? 'Draw a line through the square: its music is played from end to end.' : '');
  }

  #endJourney() {
    this.state.journey = null;
    this.pad.path = null;
    byId('end-journey').hidden = true;
  }

  #show(windows) {
    this.shown = windows;
    if (byId('message').textContent === this.decodingError) this.tell('');
    this.player.setSequence(windows);
    const [notes] = windows;
    this.roll.draw(notes);
    byId('roll').setAttribute('aria-label', describe(notes, this.model.tracks));
    byId('what').textContent = this.#whatIsPlayed();
    this.sliders.measure(notes);
    this.#offerMidi();
  }

  #whatIsPlayed() {
    const { where, journey } = this.state;
    if (journey) return `A journey of ${journey.length} windows`;
    if (where.kind === 'point') return where.title || 'A point of the map';
    const corner = [0, 1, 2, 3].find((index) => where.x === index % 2 && where.y === Math.floor(index / 2));
    if (corner !== undefined) return `Corner ${corner + 1}: ${this.corners[corner].title}`;
    return `Between the corners, at ${where.x.toFixed(2)}, ${where.y.toFixed(2)}`;
  }

  /** Decodes all that is shown, after what is the same for all of it has changed. */
  async #settle() {
    this.pad.cells.fill(null);
    this.#saveLink();
    this.#mark();
    if (!await this.decoding.settle(this.state)) return;
    this.#mark();
    if (this.state.journey) await this.#playJourney(this.state.journey);
  }

  #change(values) {
    Object.assign(this.state, values);
    return this.#settle();
  }

  // Playing.

  async play() {
    try {
      await this.player.start();
    } catch (error) {
      this.fail(new Error(`The browser plays no sound: ${error.message}`));
    }
    if (byId('message').textContent === INVITATION) this.tell('');
    this.#showPlaying();
  }

  toggle() {
    if (!this.player.isPlaying) {
      this.play();
      return;
    }
    this.player.stop();
    this.#showPlaying();
  }

  #showPlaying() {
    const { isPlaying } = this.player;
    byId('play').replaceChildren(isPlaying ? '■ Stop' : '▶ Play');
    if (isPlaying && !this.isAnimating) requestAnimationFrame(() => this.#animate());
  }

  #animate() {
    this.isAnimating = this.player.isPlaying;
    const position = this.player.position();
    this.roll.draw(this.shown[Math.min(position?.window ?? 0, this.shown.length - 1)], position?.step ?? null);
    byId('level').value = Math.max(SILENCE, this.player.level());
    if (this.isAnimating) requestAnimationFrame(() => this.#animate());
  }

  // Corners.

  #makeCorner(index) {
    const card = byId('corner').content.firstElementChild.cloneNode(true);
    byId('corners').append(card);
    return new Corner(card, index, this.model, {
      set: (corner, note) => this.setCorner(index, corner, note),
      undo: () => this.#undo(index),
      go: () => this.moveTo({ kind: 'pad', x: index % 2, y: Math.floor(index / 2) }),
      roll: () => this.rollCorners([index]),
      encode: (content, choice) => this.backend.encode(content, choice),
      tempo: (qpm) => this.setTempo(within(Math.round(qpm), LIMITS.tempo)),
      fail: (error) => this.fail(error),
      changed: () => this.#showCorners(),
    });
  }

  setCorner(index, corner, note = '') {
    this.#put(index, corner);
    this.tell(`Corner ${index + 1} is ${this.corners[index].title}.${note}`);
    this.#settle();
  }

  rollCorners(indices) {
    const free = indices.filter((index) => !this.corners[index].isLocked);
    if (!free.length) {
      this.fail(new Error('Every corner that was to be rolled is locked.'));
      return;
    }
    for (const index of free) this.#put(index, { kind: 'dice', prior: this.model.priors[0], seed: randomSeed() });
    this.tell('');
    this.#settle();
  }

  #put(index, corner) {
    this.history[index] = [...this.history[index], this.state.corners[index]].slice(-MAX_HISTORY);
    this.state.corners[index] = corner;
    this.#showCorners();
  }

  #undo(index) {
    const before = this.history[index].pop();
    if (!before) return;
    this.state.corners[index] = before;
    this.#showCorners();
    this.tell('');
    this.#settle();
  }

  async #pin(index) {
    if (this.corners[index].refuseLocked()) return;
    await this.decoding.found;
    const point = this.decoding.pointAt(this.state, this.state.where);
    this.setCorner(index, { kind: 'point', point, title: this.#whatIsPlayed() });
  }

  #showCorners() {
    this.corners.forEach((card, index) => card.show(this.state.corners[index], this.history[index].length > 0));
  }

  // What the controls set.

  setTempo(qpm) {
    const wrong = tempoError(qpm);
    if (wrong) this.fail(new Error(wrong));
    else {
      this.#forgive();
      this.state.qpm = qpm;
    }
    showControls(this.state);
    this.player.setTempo(this.state.qpm);
    this.#saveLink();
    this.#offerMidi();
  }

  setTemperature(temperature) {
    this.#change({ temperature });
    showControls(this.state);
  }

  setSeed(seed) {
    const wrong = seedError(seed);
    if (wrong) this.fail(new Error(wrong));
    else {
      this.#forgive();
      this.#change({ seed });
    }
    showControls(this.state);
  }

  setAudible(audible) {
    this.state.audible = audible;
    for (const part of [this.player, this.roll]) part.audible = audible;
    this.trackButtons.show(audible);
    this.roll.draw();
    this.#saveLink();
  }

  async saveWav() {
    byId('wav').disabled = true;
    await saveWav(this.shown, this.model, this.state, this.programs).catch((error) => this.fail(error));
    byId('wav').disabled = false;
  }

  async copyLink() {
    this.tell(await copyLink(this.link()));
  }

  /** Returns the address that gives the same music again. */
  link() {
    return `${location.href.split('#')[0]}#${permalink.write(this.state, this.model.name)}`;
  }

  missedDrop() {
    const advice = this.model.can.encode ? 'Drop a file on the card of a corner.' : this.model.why_not.encode;
    this.fail(new Error(advice));
  }

  /** Takes back what was said to be wrong, once it is right. */
  #forgive() {
    if (byId('message').classList.contains('wrong')) this.tell('');
  }

  tell(text) {
    byId('message').classList.remove('wrong');
    byId('message').textContent = text;
  }

  fail(error) {
    byId('message').classList.add('wrong');
    byId('message').textContent = error.message;
  }

  // What is shown and kept.

  #offerMidi() {
    offerMidi(byId('midi'), this.shown, this.model, this.state, this.programs);
  }

  #mark() {
    if (!this.state.corners.every((corner) => corner.point)) return;
    this.mapPanel.mark(this.decoding.pointAt(this.state, this.state.where));
  }

  #showState() {
    const { state, model } = this;
    byId('name').textContent = model.name;
    document.title = `${model.name} · magenta_vae`;
    byId('description').textContent = model.description ?? '';
    byId('no-files').textContent = model.why_not?.encode ?? '';
    byId('no-files').hidden = model.can.encode;
    byId('licence').replaceChildren(...[model.licence && `Licence of the model: ${model.licence}`, ...(model.attribution ?? []).map((each) => `Trained on ${each}`)]
      .filter(Boolean).map((text) => Object.assign(document.createElement('li'), { textContent: text })));
    showControls(state);
    this.sliders.show(state.attributes);
    this.player.setTempo(state.qpm);
    this.pad.place = state.where.kind === 'pad' ? state.where : null;
    this.setAudible(state.audible);
    this.#showCorners();
  }

  #redraw() {
    for (const part of [this.pad, this.roll, this.mapPanel]) part.draw();
  }

  #saveLink() {
    clearTimeout(this.saving);
    this.saving = setTimeout(() => {
      try {
        history.replaceState(null, '', this.link());
      } catch {
        // Too many addresses in a short time: the next change tries again.
      }
    }, LINK_AFTER);
  }

  #readLink() {
    if (location.hash.length < 2) return {};
    try {
      return permalink.read(location.hash.slice(1), this.model, usualState(this.model));
    } catch (error) {
      queueMicrotask(() => this.fail(error));
      return {};
    }
  }
}
