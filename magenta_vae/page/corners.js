// The cards of the four corners: what is there, and what may be put there.

export const CORNER_NAMES = ['top left', 'top right', 'bottom left', 'bottom right'];
const MAX_FILE_BYTES = 5e6;

function option(value, text) {
  const element = document.createElement('option');
  element.value = value;
  element.textContent = text;
  return element;
}

export class Corner {
  /**
   * element: the card's; handlers: set(corner), undo(), go(), roll(), encode(file, choice),
   * tempo(qpm), fail(error), changed() of the lock.
   */
  constructor(element, index, model, handlers) {
    Object.assign(this, { element, index, model, handlers });
    this.isLocked = false;
    this.file = null;
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
    parts.track.addEventListener('change', () => this.read(this.file, { track: parts.track.value }));
    parts.bars.addEventListener('change', () => this.#takeWindow(Number(parts.bars.value)));
    if (model.can.encode) this.#takeDrops();
  }

  show(corner, canUndo) {
    this.title = corner.kind === 'dice' ? `Dice ${corner.seed}` : corner.title;
    Object.assign(this.parts.title, { textContent: this.title, title: this.title });
    this.parts.undo.disabled = !canUndo || this.isLocked;
    this.parts.choice.hidden = !(this.encoded && corner.point && this.encoded.windows.some((each) => each.point === corner.point));
  }

  /** Reads a file of music into the corner. */
  async read(file, choice = {}) {
    if (this.refuseLocked()) return;
    if (file.size > MAX_FILE_BYTES) {
      this.handlers.fail(new Error(`A file may have at most 5 MB. Received: ${file.name} of ${(file.size / 1e6).toFixed(1)} MB.`));
      return;
    }
    this.element.setAttribute('aria-busy', 'true');
    this.note = '';
    try {
      const encoded = await this.#encode(file, choice);
      this.file = file;
      this.encoded = encoded;
      this.parts.track.replaceChildren(option('', 'First track that fits'), ...encoded.tracks.map((track) =>
        option(track.number, `${track.number}: ${track.name || (track.is_drum ? 'drums' : `program ${track.program}`)}`)));
      this.parts.track.value = choice.track ?? '';
      this.parts.bars.replaceChildren(...encoded.windows.map((window, i) => option(i, this.#bars(window))));
      this.#takeWindow(0);
      this.handlers.tempo(encoded.windows[0].qpm);
    } catch (error) {
      this.handlers.fail(error);
    } finally {
      this.element.removeAttribute('aria-busy');
    }
  }

  /** Encodes a file; of chords where a line is expected the highest notes, which the person is told. */
  async #encode(file, choice) {
    try {
      return await this.handlers.encode(file, choice);
    } catch (error) {
      if (error.rule !== 'polyphony') throw error;
      const encoded = await this.handlers.encode(file, { ...choice, polyphony: 'highest' });
      this.note = ' Of its chords the highest notes were read.';
      return encoded;
    }
  }

  #takeWindow(index) {
    if (this.refuseLocked()) return;
    const window = this.encoded.windows[index];
    this.handlers.set({ kind: 'point', point: window.point, title: `${this.file.name}, ${this.#bars(window)}` }, this.note);
    this.parts.bars.value = index;
  }

  #bars({ bar }) {
    return `bars ${bar}-${bar + this.model.num_bars - 1}`;
  }

  #takeExample(example) {
    this.parts.example.value = '';
    if (!example || this.refuseLocked()) return;
    this.handlers.set({ kind: 'point', point: example.point, title: example.title });
  }

  #setLocked(isLocked) {
    this.isLocked = isLocked;
    this.parts.lock.setAttribute('aria-pressed', isLocked);
    for (const name of ['roll', 'open', 'example', 'undo', 'track', 'bars']) this.parts[name].disabled = isLocked;
    this.handlers.changed();
  }

  /** Says whether the corner is locked, and tells the person so. */
  refuseLocked() {
    if (this.isLocked) this.handlers.fail(new Error(`The corner ${CORNER_NAMES[this.index]} is locked. Unlock the corner to change it.`));
    return this.isLocked;
  }

  #takeDrops() {
    const { element } = this;
    element.addEventListener('dragover', (event) => {
      event.preventDefault();
      element.classList.add('drop');
    });
    element.addEventListener('dragleave', () => element.classList.remove('drop'));
    element.addEventListener('drop', (event) => {
      event.preventDefault();
      element.classList.remove('drop');
      if (event.dataTransfer.files[0]) this.read(event.dataTransfer.files[0]);
    });
  }
}
