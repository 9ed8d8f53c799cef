// The cards of the four corners: what is there, and what may be put there.

import { MAX_FILE_BYTES } from './limits.js';

export const CORNER_NAMES = ['top left', 'top right', 'bottom left', 'bottom right'];
const [EARLIER, LATER] = ['earlier', 'later'];
const LOCKABLE = ['roll', 'open', 'example', 'undo', 'track', 'bars'];

function option(value, text) {
  const element = document.createElement('option');
  element.value = value;
  element.textContent = text;
  return element;
}

/** Returns a file's name and bytes, read once: the file may change, or be a folder. */
async function contentOf(file) {
  if (file.size > MAX_FILE_BYTES) throw new Error(`A file may have at most 5 MB. Received: ${file.name} of ${(file.size / 1e6).toFixed(2)} MB.`);
  try {
    return { name: file.name, bytes: await file.arrayBuffer() };
  } catch {
    throw new Error(`${file.name} cannot be read. Is it a file?`);
  }
}

export class Corner {
  /**
   * element: the card's; handlers: set(corner, note), undo(), go(), roll(), encode(content, choice),
   * tempo(qpm), fail(error), changed() of the lock.
   */
  constructor(element, index, model, handlers) {
    Object.assign(this, { element, index, model, handlers });
    this.isLocked = false;
    this.content = null; // Of the file that was read last.
    this.encoded = null;
    this.parts = Object.fromEntries([...element.querySelectorAll('[data-part]')].map((each) => [each.dataset.part, each]));
    const { parts } = this;
    const name = CORNER_NAMES[index];
    element.setAttribute('aria-label', `Corner ${index + 1}, ${name}`);
    parts.number.textContent = index + 1;
    parts.go.addEventListener('click', () => handlers.go());
    parts.roll.addEventListener('click', () => handlers.roll());
    parts.undo.addEventListener('click', () => handlers.undo());
    parts.lock.addEventListener('click', () => this.#setLocked(!this.isLocked));
    parts.example.replaceChildren(option('', 'Example…'), ...model.examples.map((each, i) => option(i, each.title)));
    parts.example.hidden = !model.examples.length;
    parts.example.addEventListener('change', () => this.#takeExample(model.examples[parts.example.value]));
    parts.open.hidden = !model.can.encode;
    parts.open.addEventListener('click', () => parts.file.click());
    parts.file.addEventListener('change', () => {
      if (parts.file.files[0]) this.read(parts.file.files[0]);
      parts.file.value = '';
    });
    parts.track.addEventListener('change', () => this.#encode({ track: parts.track.value }));
    parts.bars.addEventListener('change', () => this.#chooseBars(parts.bars.value));
    if (model.can.encode) this.#takeDrops();
  }

  show(corner, canUndo) {
    this.title = corner.kind === 'dice' ? `Dice ${corner.seed}` : corner.title;
    Object.assign(this.parts.title, { textContent: this.title, title: this.title });
    this.parts.undo.disabled = !canUndo || this.isLocked;
    this.parts.choice.hidden = !(this.encoded && corner.point && this.encoded.windows.some((each) => each.point === corner.point));
  }

  /** Reads a file of music into the corner. */
  async read(file) {
    if (this.refuseLocked()) return;
    try {
      await this.#encode({}, await contentOf(file));
    } catch (error) {
      this.handlers.fail(error);
    }
  }

  /** Says whether the corner is locked, and tells the person so. */
  refuseLocked() {
    if (this.isLocked) this.handlers.fail(new Error(`The corner ${CORNER_NAMES[this.index]} is locked. Unlock the corner to change it.`));
    return this.isLocked;
  }

  /** Puts the first window of a file at the corner: of a track and from a bar on, where chosen. */
  async #encode(choice, content = this.content) {
    this.element.setAttribute('aria-busy', 'true');
    try {
      const [encoded, note] = await this.#asked(content, choice);
      if (this.refuseLocked()) return; // Locked meanwhile.
      Object.assign(this, { content, encoded, note });
      const { parts } = this;
      parts.track.replaceChildren(option('', 'First track that fits'), ...encoded.tracks.map((track) =>
        option(track.number, `${track.number}: ${track.name || (track.is_drum ? 'drums' : `program ${track.program}`)}`)));
      parts.track.value = choice.track ?? '';
      const bars = encoded.windows.map((window, i) => option(i, this.#bars(window)));
      if (encoded.windows[0].bar > 1) bars.unshift(option(EARLIER, 'earlier bars…'));
      bars.push(option(LATER, 'later bars…'));
      parts.bars.replaceChildren(...bars);
      this.#takeWindow(0);
      this.handlers.tempo(encoded.windows[0].qpm);
    } catch (error) {
      this.handlers.fail(error);
      if (this.encoded) this.parts.bars.value = 0;
    } finally {
      this.element.removeAttribute('aria-busy');
    }
  }

  /** Returns the answer to a file; of chords where a line is expected the highest notes are read. */
  async #asked(content, choice) {
    try {
      return [await this.handlers.encode(content, choice), ''];
    } catch (error) {
      if (error.rule !== 'polyphony') throw error;
      const encoded = await this.handlers.encode(content, { ...choice, polyphony: 'highest' });
      return [encoded, ' Of its chords the highest notes were read.'];
    }
  }

  #chooseBars(value) {
    const { windows } = this.encoded;
    const track = this.parts.track.value;
    const numBars = this.model.num_bars;
    if (value === LATER) this.#encode({ track, bar: windows.at(-1).bar + numBars });
    else if (value === EARLIER) this.#encode({ track, bar: Math.max(1, windows[0].bar - 16 * numBars) });
    else this.#takeWindow(Number(value));
  }

  #takeWindow(index) {
    if (this.refuseLocked()) return;
    const window = this.encoded.windows[index];
    this.handlers.set({ kind: 'point', point: window.point, title: `${this.content.name}, ${this.#bars(window)}` }, this.note);
    this.parts.bars.value = index;
  }

  #bars({ bar }) {
    const last = bar + this.model.num_bars - 1;
    return last > bar ? `bars ${bar}-${last}` : `bar ${bar}`;
  }

  #takeExample(example) {
    this.parts.example.value = '';
    if (!example || this.refuseLocked()) return;
    this.handlers.set({ kind: 'point', point: example.point, title: example.title }, '');
    this.handlers.tempo(example.qpm);
  }

  #setLocked(isLocked) {
    this.isLocked = isLocked;
    this.parts.lock.setAttribute('aria-pressed', isLocked);
    for (const name of LOCKABLE) this.parts[name].disabled = isLocked;
    this.handlers.changed();
  }

  #takeDrops() {
    const { element } = this;
    element.addEventListener('dragover', () => element.classList.add('drop'));
    element.addEventListener('dragleave', () => element.classList.remove('drop'));
    element.addEventListener('drop', (event) => {
      element.classList.remove('drop');
      if (!event.dataTransfer.files[0]) return;
      event.taken = true;
      this.read(event.dataTransfer.files[0]);
    });
  }
}
