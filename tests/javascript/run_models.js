// Loads models in @magenta/music, unmodified, and writes what it computes.
//
// node run_models.js CASES.json RESULTS.json, in a folder with node_modules. A case is
// {folder, z, and tokens with depths, or rows: what the encoder reads}.

const fs = require('fs');
const http = require('http');
const path = require('path');
const { createRequire } = require('module');

const here = createRequire(path.join(process.cwd(), 'x.js'));
console.log = () => {};
const mvae = here('@magenta/music/node/music_vae');
const tf = here('@tensorflow/tfjs');

async function main(casesFile, resultsFile) {
  const cases = JSON.parse(fs.readFileSync(casesFile));
  const server = http.createServer((request, response) => {
    fs.readFile(decodeURIComponent(request.url), (error, content) => {
      response.writeHead(error ? 404 : 200, {Connection: 'close'});
      response.end(content);
    });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const results = [];
  for (const one of cases) {
    results.push(await run(one, `http://127.0.0.1:${server.address().port}`));
  }
  server.close();
  fs.writeFileSync(resultsFile, JSON.stringify(results));
}

async function run(one, address) {
  const model = new mvae.MusicVAE(address + one.folder);
  await model.initialize();
  const z = tf.tensor2d(one.z);
  const classes = async oneHots => classesOf(await oneHots.array(), one.depths);
  const decoded = [];  // What `sample` drew, which it does not return.
  const decodeTensors = model.decodeTensors.bind(model);
  model.decodeTensors = (drawn, ...rest) => {
    decoded.push(drawn.arraySync());
    return decodeTensors(drawn, ...rest);
  };
  const inputs = one.rows ? tf.tensor3d(one.rows) : oneHot(one.tokens, one.depths);
  return {
    mu: await (await model.encodeTensors(inputs)).array(),
    greedy: await classes(await model.decodeTensors(z)),
    interpolated: await classes(await model.interpolateTensors(inputs.slice(0, 2), 3)),
    // Without a temperature the likeliest class is taken, of the z that were drawn.
    sampled: await classes(await model.sampleTensors(2, null)),
    sampled_z: decoded[2],
    at_temperature: await classes(await model.decodeTensors(z, 1.0)),
    notes: (await model.decode(z)).map(notesOf),
    encoded_notes: await encodedNotes(model, one),
  };
}

async function encodedNotes(model, one) {
  const rows = await model.dataConverter.toTensor(one.sequence).array();
  return one.rows ? rows : classesOf([rows], one.depths);
}

function notesOf(sequence) {
  return sequence.notes.map(
      n => [n.instrument || 0, n.quantizedStartStep, n.quantizedEndStep, n.pitch]);
}

function oneHot(tokens, depths) {
  const tracks = depths.map((depth, track) => tf.oneHot(
      tf.tensor2d(tokens.map(row => row.map(step => step[track])), undefined, 'int32'), depth));
  return tf.concat(tracks, -1).toFloat();
}

function classesOf(rows, depths) {
  return rows.map(row => row.map(step => {
    let start = 0;
    return depths.map(depth => {
      const part = step.slice(start, start + depth);
      start += depth;
      return part.indexOf(Math.max(...part));
    });
  }));
}

main(...process.argv.slice(2)).catch(error => {
  console.error(error);
  process.exit(1);
});
