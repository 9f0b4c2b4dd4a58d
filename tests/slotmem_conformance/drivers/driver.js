// A driver for Node. It is a small real implementation: slots in the memory of this one process. Nothing is shared or stored.
// Run: slotmem conform exec:"node driver.js"
'use strict';
class Refused extends Error {}
const refuse = (status) => { throw new Refused(status); };
const byName = new Map();
const segments = [];
let open = false, generation = 0;

const anonymous = (name) => name === null || name === '' || name.toLowerCase() === 'none';
const checkName = (name) => {
  if (!anonymous(name) && (name.split('/').includes('..') || name.includes('\0'))) refuse('APR_EINVAL');
};
const integer = (value) => Number.isInteger(value) ? value : (() => { throw new TypeError(`no integer: ${value}`); })();
const bytes = (hex) => /^([0-9a-f]{2})*$/.test(hex) ? Buffer.from(hex, 'hex') : (() => { throw new TypeError('no hex'); })();
const check = (s, id) => integer(id) >= 0 && id < s.inuse.length || refuse('APR_EINVAL');
const slot = (s, id) => (check(s, id), s.data.subarray(id * s.size, (id + 1) * s.size));
const usable = (s, id) => { if (s.pregrab && !s.inuse[id]) refuse('APR_NOTFOUND'); s.inuse[id] = 1; };

const operations = {
  grab(s) { const id = s.inuse.indexOf(0); if (id < 0) refuse('APR_EINVAL'); s.inuse[id] = 1; return {id}; },
  fgrab(s, {id}) { check(s, id); s.inuse[id] = 1; },
  release(s, {id}) { check(s, id); if (!s.inuse[id]) refuse('APR_NOTFOUND'); s.inuse[id] = 0; },
  get(s, {id, len = s.size}) {
    const from = slot(s, id);
    if (integer(len) < 0 || len > s.size) refuse('APR_EINVAL');
    usable(s, id);
    return {data: from.subarray(0, len).toString('hex')};
  },
  put(s, {id, data}) {
    const from = bytes(data), to = slot(s, id);
    if (from.length > s.size) refuse('APR_EINVAL');
    usable(s, id);
    to.set(from);
  },
  dptr(s, {id, data = ''}) { slot(s, id).set(bytes(data)); return {data: slot(s, id).toString('hex')}; },
  doall(s, {answers = []}) {
    const slots = [];
    for (let id = 0, status; id < s.inuse.length; id++) {
      if (s.pregrab && !s.inuse[id]) continue;
      slots.push(slot(s, id).toString('hex'));
      if ((status = answers[slots.length - 1] ?? 'APR_SUCCESS') !== 'APR_SUCCESS') return {status, slots};
    }
    return {slots};
  },
  num_slots: (s) => ({value: s.inuse.length}),
  num_free_slots: (s) => ({value: s.inuse.filter((used) => !used).length}),
  slot_size: (s) => ({value: s.size}),
};

function end() { byName.clear(); segments.fill(null); }

const verbs = {
  hello(request) {
    [generation, open] = [integer(request.generation), true];
    const capabilities = ['batch', 'restart', 'dptr', 'doall'];
    return {protocol: 1, implementation: 'slots of a JavaScript process', version: '1', language: `Node ${process.version}`, capabilities};
  },
  create({name, item_size, item_num, type}) {
    if (!open) refuse('APR_ENOSHMAVAIL');
    checkName(name);
    if (!anonymous(name) && byName.has(name)) return {segment: byName.get(name)};
    const total = integer(item_size) * integer(item_num) + item_num + 32; // 32: what httpd has before the slots
    if (total >= 2 ** 63) refuse('APR_EINVAL');
    if (total > 2 ** 30) refuse('APR_ENOSPC'); // more than this process may have
    const pregrab = type.includes('PREGRAB');
    segments.push({size: item_size, data: Buffer.alloc(item_size * item_num), inuse: new Uint8Array(item_num), pregrab});
    if (!anonymous(name)) byName.set(name, segments.length - 1);
    return {segment: segments.length - 1};
  },
  attach({name}) {
    if (!open || anonymous(name)) refuse('APR_ENOSHMAVAIL');
    checkName(name);
    const segment = byName.has(name) ? byName.get(name) : refuse('APR_ENOENT');
    return {segment, item_size: segments[segment].size, item_num: segments[segment].inuse.length};
  },
  batch({segment, requests}) {
    return {responses: requests.map((each) => {
      const start = process.hrtime.bigint();
      const response = operate({...each, segment});
      return {...response, start: Number(start), end: Number(process.hrtime.bigint())};
    })};
  },
  restart() { if (!open) refuse('APR_ENOSHMAVAIL'); end(); return {generation: ++generation}; },
  close() { end(); open = false; },
};

function attempt(work) {
  try { return {status: 'APR_SUCCESS', ...work()}; } catch (error) {
    if (error instanceof Refused) return {status: error.message};
    throw error;
  }
}

function operate(request) {
  if (!Object.hasOwn(operations, request.op)) throw new Error(`no slot operation ${request.op}`);
  if (!(integer(request.segment) in segments)) throw new Error(`no segment ${request.segment}`);
  return attempt(() => operations[request.op](segments[request.segment] ?? refuse('APR_ENOSHMAVAIL'), request));
}

require('readline').createInterface({input: process.stdin, crlfDelay: Infinity}).on('line', (line) => {
  let response;
  try {
    const request = JSON.parse(line);
    if (request.op === 'quit') process.exit(0);
    response = Object.hasOwn(verbs, request.op) ? attempt(() => verbs[request.op](request)) : operate(request);
    if (request.op === 'hello') delete response.status;
  } catch (error) { response = {error: String(error)}; }
  process.stdout.write(JSON.stringify(response) + '\n');
});
