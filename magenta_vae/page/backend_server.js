// The backend that asks the server which gave the page.

/** Returns what a request or the reading of its answer gives; both fail where the server is gone. */
async function orNoAnswer(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer. Start `magenta_vae explore` again and reload this page.');
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function ask(path, options = {}) {
  const response = await orNoAnswer(fetch(path, options));
  const answer = parsed(await orNoAnswer(response.text()));
  if (response.ok && answer) return answer;
  throw Object.assign(new Error(answer?.error ?? `The server answered ${response.status}.`), { rule: answer?.rule });
}

function post(path, body, signal) {
  return ask(path, {
    method: 'POST', signal, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
  });
}

export async function open() {
  return {
    model: await ask('model'),
    /** points: numbers or dice; seed: of all points. Returns {windows, points}. */
    decode: (points, temperature, seed, signal) => post('decode', { points, temperature, seed }, signal),
    path: (points, steps, temperature, seed, signal) => post('path', { points, steps, temperature, seed }, signal),
    map: () => ask('map'),
    encode: ({ name, bytes }, { track, bar, polyphony } = {}) => {
      const query = new URLSearchParams({ name });
      if (track) query.set('track', track);
      if (bar) query.set('bar', bar);
      if (polyphony) query.set('polyphony', polyphony);
      return ask(`encode?${query}`, {
        method: 'POST', body: bytes, headers: { 'Content-Type': 'application/octet-stream' },
      });
    },
  };
}
