// Opens the page with its backend: the server that gave it, or the decoder beside it.

import { Explorer } from './explorer.js';

const byId = (id) => document.getElementById(id);

try {
  const setup = JSON.parse(byId('setup').textContent);
  const { open } = await import(`./backend_${setup.backend}.js`);
  globalThis.explorer = new Explorer(await open()); // For the console, and for who drives the page.
  await globalThis.explorer.open();
} catch (error) {
  byId('description').textContent = error.message;
  throw error;
}
