// Runs verifiers as their readers do: the page's JavaScript as a module, and the code of n8n's Code node in a context that
// has only what every n8n gives it: no module can be loaded, and `this.helpers` reads the raw body.
// Reads {kind, code, calls: [{secret, headers, body}]} from stdin, bodies in base64, and writes a list of answers to stdout.
'use strict';
const fs = require('node:fs');
const vm = require('node:vm');

function refused() {
  throw new Error('a Code node may load no module');
}

/** What n8n hands to a Code node; `body` null is a Webhook node without "Raw Body". */
function sandbox({ headers, body }) {
  const binary = body === null ? undefined : { data: { data: body, mimeType: 'application/json' } };
  const item = { json: { headers, params: {}, query: {}, body: {} }, binary };
  const getBinaryDataBuffer = async (index, name) => Buffer.from([item][index].binary[name].data, 'base64');
  return { $input: { first: () => item, all: () => [item] }, helpers: { getBinaryDataBuffer }, require: refused, Buffer };
}

async function inN8n(code, call) {
  const own = code.replace("'whsec_REPLACE_ME';", `${JSON.stringify(call.secret)};`);
  const context = vm.createContext(sandbox(call));
  const items = await vm.runInContext(`(async function () {${own}\n}).call(globalThis)`, context);
  return { ok: true, items };
}

function asModule(code) {
  const module = { exports: {} };
  new Function('require', 'module', code)(require, module);
  return module.exports;
}

async function onThePage(code, { secret, headers, body }) {
  const { verify, InvalidSignature } = asModule(code);
  try {
    return { ok: true, id: verify(secret, headers, Buffer.from(body, 'base64')) };
  } catch (error) {
    return { ok: false, expected: error instanceof InvalidSignature, message: error.message };
  }
}

async function main() {
  const { kind, code, calls } = JSON.parse(fs.readFileSync(0, 'utf8'));
  const run = kind === 'n8n' ? inN8n : onThePage;
  const answers = calls.map((call) => run(code, call).catch((error) => ({ ok: false, expected: false, message: error.message })));
  process.stdout.write(JSON.stringify(await Promise.all(answers)));
}

main();
