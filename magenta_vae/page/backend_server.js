// The backend that asks the server which gave the page.

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer. Start `magenta_vae explore` again and reload this page.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(answer.error ?? `The server answered ${response.status}.`), { rule: answer.rule });
  return answer;
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
