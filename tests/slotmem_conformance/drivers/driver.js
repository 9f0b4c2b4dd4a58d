// A driver for Node. It is a small real implementation: slots in the memory of this one process; nothing is shared or stored.
// Run: slotmem conform exec:"node driver.js". To try your own, change what `operations` and `verbs` do.
'use strict';
class Refused extends Error {} // its message is the status; any other error says that the request is malformed
const refuse = (status) => { throw new Refused(status); };
const wrong = (what) => { throw new TypeError(what); };
const integer = (value) => Number.isInteger(value) ? value : wrong(`no integer: ${value}`);
const bytes = (hex) => /^[0-9a-f]*$/.test(hex) ? Buffer.from(hex, 'hex') : wrong(`no hexadecimal data: ${hex}`);

const known = (s, id) => { if (!(integer(id) >= 0 && id < s.inuse.length)) refuse('APR_EINVAL'); };
const slot = (s, id) => (known(s, id), s.data.subarray(id * s.size, (id + 1) * s.size));
const use = (s, id, length) => {
  if (!(integer(length) >= 0 && length <= s.size)) refuse('APR_EINVAL');
  if (s.pregrab && !s.inuse[id]) refuse('APR_NOTFOUND');
  s.inuse[id] = 1;
};
const operations = { // each gives the fields of its response besides the status
  num_slots: (s) => ({value: s.inuse.length}),
  num_free_slots: (s) => ({value: s.inuse.filter((used) => !used).length}),
  slot_size: (s) => ({value: s.size}),
  grab(s) { const id = s.inuse.indexOf(0); if (id < 0) refuse('APR_EINVAL'); s.inuse[id] = 1; return {id}; },
  fgrab(s, {id}) { known(s, id); s.inuse[id] = 1; },
  release(s, {id}) { known(s, id); if (!s.inuse[id]) refuse('APR_NOTFOUND'); s.inuse[id] = 0; },
  get(s, {id, len = s.size}) { const from = slot(s, id); use(s, id, len); return {data: from.toString('hex', 0, len)}; },
  put(s, {id, data}) { const to = slot(s, id), from = bytes(data); use(s, id, from.length); to.set(from); },
  dptr(s, {id, data = ''}) { slot(s, id).set(bytes(data)); return {data: slot(s, id).toString('hex')}; },
  doall(s, {answers = []}) {
    const slots = [], left = [...answers];
    for (const [id, used] of s.inuse.entries()) {
      if (s.pregrab && !used) continue;
      slots.push(slot(s, id).toString('hex'));
      const status = left.shift() ?? 'APR_SUCCESS';
      if (status !== 'APR_SUCCESS') return {status, slots};
    }
    return {slots};
  },
};

const segments = []; // null: it has ended, and its number stays taken
let named = new Map(), open = false, generation = 0; // named: the numbers of segments, by name
const key = (name) => { // gives null for anonymous memory
  if (!open) refuse('APR_ENOSHMAVAIL');
  if (name?.includes('\0') || name?.split('/').includes('..')) refuse('APR_EINVAL');
  return name === null || /^(none)?$/i.test(name) ? null : name;
};
const verbs = {
  hello(request) {
    [generation, open] = [integer(request.generation), true];
    const capabilities = ['batch', 'restart', 'dptr', 'doall'];
    return {protocol: 1, implementation: 'slots of a Node process', version: '1', language: 'JavaScript', capabilities};
  },
  create({name, item_size: size, item_num: num, type}) {
    const total = integer(size) * integer(num) + num + 32, pregrab = type.includes('PREGRAB'); // 32: httpd's header
    if (named.has(key(name))) return {segment: named.get(key(name))};
    if (total > 2 ** 30) refuse(total < 2 ** 63 ? 'APR_ENOSPC' : 'APR_EINVAL');
    const segment = segments.push({size, pregrab, data: Buffer.alloc(size * num), inuse: new Uint8Array(num)}) - 1;
    if (key(name) !== null) named.set(key(name), segment);
    return {segment};
  },
  attach({name}) {
    const segment = named.get(key(name) ?? refuse('APR_ENOSHMAVAIL')) ?? refuse('APR_ENOENT');
    return {segment, item_size: segments[segment].size, item_num: segments[segment].inuse.length};
  },
  batch: ({segment, requests}) => ({responses: requests.map((request) => {
    const start = process.hrtime.bigint(), response = operate({...request, segment});
    return {...response, start: Number(start), end: Number(process.hrtime.bigint())};
  })}),
  restart() { verbs.close(); open = true; return {generation: ++generation}; },
  close() { if (!open) refuse('APR_ENOSHMAVAIL'); segments.fill(null); named = new Map(); open = false; },
};

const told = (work) => {
  try { return {status: 'APR_SUCCESS', ...work()}; } catch (error) {
    if (error instanceof Refused) return {status: error.message};
    throw error;
  }
};
const operate = (request) => {
  const operation = Object.hasOwn(operations, request.op) ? operations[request.op] : wrong(`no operation ${request.op}`);
  const segment = integer(request.segment) in segments ? segments[request.segment] : wrong(`no segment ${request.segment}`);
  return told(() => operation(segment ?? refuse('APR_ENOSHMAVAIL'), request));
};
const respond = (request) => Object.hasOwn(verbs, request.op) ? told(() => verbs[request.op](request)) : operate(request);

require('readline').createInterface({input: process.stdin, crlfDelay: Infinity}).on('line', (line) => {
  let response;
  try {
    const request = JSON.parse(line);
    if (request.op === 'quit') process.exit(0);
    response = respond(request);
  } catch (error) { response = {error: String(error)}; }
  process.stdout.write(JSON.stringify(response) + '\n');
});
