// The page knows no semantics: it walks along the states that the checker explored.
const given = JSON.parse(document.getElementById("data").textContent);
let data, texts, words, states, steps, locals, sources, allowed, used, graph;
const [LOCALS, WORDS, ALLOWED, BROKEN, DISTANCE] = [0, 1, 2, 3, 4];
const [PROCESS, KIND, WORD, TEXT, NEXT, BEGAN, ENDED, BUFFERED, DOES] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const GRAPH_STATES = 600;
const MANY = 1000;
const element = (id) => document.getElementById(id);

/** Which of the models is shown; a page of the checker has one, a lesson several. */
let shown = -1;
const use = (number) => {
  shown = number;
  data = given.models[number];
  ({ texts, words, states, steps, locals, sources, allowed } = data);
  // The words that some step looks at or changes: the others are the same in every state.
  used = new Set(steps.flatMap((each) => (each || []).map((step) => step[WORD])));
  graph = null;
  element("graph").replaceChildren();
  element("graph-card").hidden = true;
  element("tally").textContent = "";
};

/** What was done: the number of each step among those of its state; the first `at` of them count. */
let choices = [];
let at = 0;

const make = (name, { text, ...given } = {}, ...children) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(given)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

/** The states along the way, as many as there are choices and one more. */
const way = () => {
  const numbers = [0];
  for (const choice of choices) numbers.push(steps[numbers[numbers.length - 1]][choice][NEXT]);
  return numbers;
};

/** What each process has stored that memory does not have yet, and who wrote each word last. */
const replayed = (numbers) => {
  const buffers = Array.from({ length: data.processes }, () => []);
  const writers = words.map(() => -1);
  for (let number = 0; number < at; number += 1) {
    const step = steps[numbers[number]][choices[number]];
    const [process, word, kind] = [step[PROCESS], step[WORD], texts[step[KIND]]];
    if (kind === "buffer") buffers[process].push([word, texts[step[BUFFERED]]]);
    if (kind === "drain") {
      const oldest = buffers[process].findIndex(([stored]) => stored === word);
      buffers[process].splice(oldest, 1);
    }
    const [before, after] = [states[numbers[number]][WORDS], states[numbers[number + 1]][WORDS]];
    after.forEach((value, each) => {
      if (value !== before[each] || (each === word && (kind === "store" || kind === "drain"))) writers[each] = process;
    });
  }
  return { buffers, writers };
};

const told = (step, buffers) => {
  const kind = texts[step[KIND]];
  if (kind !== "reread" && kind !== "reawait") return texts[step[TEXT]];
  const own = buffers ? buffers[step[PROCESS]].filter(([word]) => word === step[WORD]) : [];
  return own.length ? `reads ${words[step[WORD]].name}: ${own[own.length - 1][1]} (own buffer)` : texts[step[TEXT]];
};

const name = (process) => `process ${process + 1}`;
const own = (process) => `--own: var(--p${process % 6})`;

const choose = (choice) => {
  choices = [...choices.slice(0, at), choice];
  at = choices.length;
  show();
};

const go = (to) => {
  at = Math.max(0, Math.min(choices.length, to));
  show();
};

const showProcesses = (state, here, buffers, ways) => {
  const shown = state[LOCALS].map((number, process) => {
    const local = locals[number];
    const card = make("div", { className: "process" + (local.end ? " gone" : ""), style: own(process) });
    card.append(make("h2", { text: name(process) }));
    const doing = local.fault !== undefined ? texts[local.fault]
      : local.end === "dead" ? "died"
      : local.end ? (local.end === "done" ? "is done" : local.end)
      : `${local.inside ? "in" : "next:"} ${texts[local.call]}`;
    card.append(make("p", { className: "doing", text: doing }));
    const buttons = make("div", { className: "choices" });
    ways.forEach((step, choice) => {
      if (step[PROCESS] !== process) return;
      const label = `${choice < 9 ? `${choice + 1}. ` : ""}${told(step, buffers)}`;
      buttons.append(make("button", { type: "button", text: label, onclick: () => choose(choice) }));
    });
    if (!buttons.children.length && !local.end && here && !texts[state[BROKEN]]) {
      buttons.append(make("p", { className: "hint", text: "it has to wait" }));
    }
    card.append(buttons);
    if (buffers[process].length) {
      const stored = buffers[process].map(([word, value]) => make("b", { text: `${words[word].name} = ${value}` }));
      card.append(make("p", { className: "buffer" }, "store buffer, oldest first: ", ...stored));
    }
    if (local.variables && local.variables.length) {
      const parts = local.variables.map(([variable, value]) => make("span", { text: `${variable} = ${texts[value]}` }));
      card.append(make("p", { className: "variables", "aria-label": "local variables" }, ...parts));
    }
    if (local.at) card.append(listing(...local.at));
    return card;
  });
  element("processes").replaceChildren(...shown);
  for (const line of document.querySelectorAll(".source .now")) {
    const box = line.parentElement;
    box.scrollTop = line.offsetTop - box.offsetTop - box.clientHeight / 2;
  }
};

const listing = (number, now) => {
  const source = sources[number];
  const lines = source.lines.map((line, index) => {
    const is = source.first + index;
    const row = make("div", { className: is === now ? "now" : "" }, make("span", { text: `${is}` }), make("span", { text: line || " " }));
    if (is === now) row.setAttribute("aria-current", "step");
    return row;
  });
  return make("div", { className: "source", tabIndex: 0, role: "region", "aria-label": `${source.file}, ${source.function}` }, ...lines);
};

const showMemory = (numbers, writers) => {
  const now = states[numbers[at]][WORDS];
  const before = at ? states[numbers[at - 1]][WORDS] : now;
  const rows = words.flatMap((word, index) => {
    if (!used.has(index)) return [];
    const by = writers[index];
    const row = make("tr", { className: now[index] !== before[index] ? "touched" : "" });
    const writer = make("td", { text: by < 0 ? "" : name(by), style: by < 0 ? "" : `color: var(--p${by % 6})` });
    row.append(make("td", { text: word.name }), make("td", { text: texts[word.values[now[index]]] }), writer);
    return row;
  });
  element("memory").tBodies[0].replaceChildren(...rows);
};

const showLanes = (numbers) => {
  const head = make("tr", {}, make("th", { text: "step" }));
  for (let process = 0; process < data.processes; process += 1) head.append(make("th", { text: name(process), style: `color: var(--p${process % 6})` }));
  element("lanes").tHead.replaceChildren(head);
  const buffers = Array.from({ length: data.processes }, () => []);
  const rows = choices.map((choice, number) => {
    const step = steps[numbers[number]][choice];
    const row = make("tr", { className: (number >= at ? "ahead" : number === at - 1 ? "here" : ""), tabIndex: 0 });
    row.onclick = () => go(number + 1);
    row.onkeydown = (event) => { if (event.key === "Enter") go(number + 1); };
    row.append(make("td", { text: `${number + 1}` }));
    const kind = texts[step[KIND]];
    const text = told(step, buffers);
    if (kind === "buffer") buffers[step[PROCESS]].push([step[WORD], texts[step[BUFFERED]]]);
    if (kind === "drain") buffers[step[PROCESS]].splice(buffers[step[PROCESS]].findIndex(([word]) => word === step[WORD]), 1);
    for (let process = 0; process < data.processes; process += 1) {
      const cell = make("td");
      if (process === step[PROCESS]) {
        cell.className = "own";
        cell.style.setProperty("--own", `var(--p${process % 6})`);
        if (texts[step[BEGAN]]) cell.append(make("span", { className: "opens", text: texts[step[BEGAN]] }));
        cell.append(text);
        if (texts[step[ENDED]]) cell.append(make("span", { className: "closes", text: `returns ${texts[step[ENDED]]}` }));
      }
      row.append(cell);
    }
    return row;
  });
  element("lanes").tBodies[0].replaceChildren(...rows);
  const current = element("lanes").querySelector(".here");
  const box = element("lanes").parentElement;
  if (current) box.scrollTop = current.offsetTop - box.clientHeight / 2;
};

const isRun = () => data.run.length && at === data.run.length && choices.slice(0, at).join() === data.run.join();

const news = (state, following) => {
  const broken = texts[state[BROKEN]];
  const parts = [];
  if (broken) {
    const fault = state[LOCALS].map((number) => locals[number].fault).find((each) => each !== undefined);
    const sentence = isRun() && data.sentence ? data.sentence
      : fault !== undefined ? texts[fault]
      : given.properties[broken] ? `${broken}: it does not hold that ${given.properties[broken]}` : broken;
    parts.push(`${sentence}.`);
  } else if (!following) parts.push("What follows from here is not on this page: it has the states around the run shown first.");
  else if (!following.length) parts.push("All are done, and nothing was violated on this way.");
  else if (data.loop === undefined && state.length > DISTANCE) {
    const distance = state[DISTANCE];
    parts.push(distance < 0 ? "From here no violation can be reached any more." : `The nearest violation is ${distance} step${distance === 1 ? "" : "s"} away.`);
  }
  const isEndless = data.loop !== undefined && isRun();
  if (isEndless) parts.push(`And again from step ${data.loop + 1}, for ever: ${data.sentence}.`);
  return [parts.join(" "), broken !== "" || isEndless];
};

/** Go on by steps of somebody else's choice, until nothing can be done or a property is broken. */
const play = (from, pick) => {
  const made = [];
  let number = from;
  while ((steps[number] || []).length && made.length < 10000) {
    const choice = pick(number, steps[number]);
    if (choice < 0) break;
    made.push(choice);
    number = steps[number][choice][NEXT];
  }
  return [made, number];
};
/** Of the processes that can go on one is chosen, and then what it does; nobody dies by chance. */
const byChance = (_, following) => {
  const alive = following.map((step, choice) => [step, choice]).filter(([step]) => texts[step[KIND]] !== "dies");
  const able = [...new Set(alive.map(([step]) => step[PROCESS]))];
  const process = able[Math.floor(Math.random() * able.length)];
  const own_ = alive.filter(([step]) => step[PROCESS] === process);
  return own_.length ? own_[Math.floor(Math.random() * own_.length)][1] : -1;
};
const nearer = (number, following) => following.findIndex((step) => states[step[NEXT]][DISTANCE] === states[number][DISTANCE] - 1);

const goOn = (pick) => {
  const [made] = play(way()[at], pick);
  choices = [...choices.slice(0, at), ...made];
  at = choices.length;
  show();
};

const tally = () => {
  let green = 0;
  for (let run = 0; run < MANY; run += 1) green += texts[states[play(0, byChance)[1]][BROKEN]] ? 0 : 1;
  const all = data.whole ? ` The checker looked at all ${states.length.toLocaleString("en")} states${states[0][DISTANCE] < 0 ? ": none of them breaks a property" : `: the nearest violation is ${states[0][DISTANCE]} steps from the beginning`}.` : "";
  element("tally").textContent = `${green.toLocaleString("en")} of ${MANY.toLocaleString("en")} random runs broke nothing.${all}`;
};

const exported = () => {
  const numbers = way();
  const made = choices.slice(0, at).map((choice, index) => steps[numbers[index]][choice]);
  const interleaving = made.map((step) => ({ process: step[PROCESS] + 1, does: texts[step[DOES]] }));
  const state = states[numbers[at]];
  return { format: given.format, configuration: data.configuration, breaks: texts[state[BROKEN]], sentence: "", operations: [], interleaving };
};
const imported = (text) => {
  const read_ = JSON.parse(text);
  const found = [];
  let number = 0;
  for (const { process, does } of read_.interleaving) {
    const choice = (steps[number] || []).findIndex((step) => step[PROCESS] === process - 1 && texts[step[DOES]] === does);
    if (choice < 0) {
      const where = `Step ${found.length + 1} of the trace, ${does} of process ${process}, cannot be done here.`;
      choices = found;
      go(found.length);
      element("tally").textContent = where;
      return;
    }
    found.push(choice);
    number = steps[number][choice][NEXT];
  }
  choices = found;
  go(0);
};

const showGraph = (numbers) => {
  if (!data.whole || states.length > GRAPH_STATES) return;
  if (!graph) graph = drawn();
  const trail = new Set(numbers.slice(0, at + 1));
  graph.circles.forEach((circle, number) => {
    circle.setAttribute("class", [texts[states[number][BROKEN]] ? "bad" : "", trail.has(number) ? "trail" : "", numbers[at] === number ? "here" : ""].join(" "));
  });
  const walked = new Set(numbers.slice(0, at).map((from, index) => `${from},${numbers[index + 1]}`));
  graph.lines.forEach(([key, line]) => line.setAttribute("class", walked.has(key) ? "trail" : ""));
};

/** Draw all states, those of one distance from the first below one another. */
const drawn = () => {
  const came = new Map([[0, null]]);
  const levels = [[0]];
  while (levels[levels.length - 1].length) {
    const next = [];
    for (const from of levels[levels.length - 1]) {
      (steps[from] || []).forEach((step, choice) => {
        if (!came.has(step[NEXT])) { came.set(step[NEXT], [from, choice]); next.push(step[NEXT]); }
      });
    }
    levels.push(next);
  }
  levels.pop();
  const [gap, radius, space] = [34, 6, 17];
  const height = Math.max(...levels.map((level) => level.length)) * space + 10;
  const place = new Map();
  levels.forEach((level, column) => level.forEach((number, index) => {
    place.set(number, [column * gap + 14, height / 2 + (index - (level.length - 1) / 2) * space]);
  }));
  const svg = element("graph");
  const draw = (kind, given) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
    svg.append(made);
    return made;
  };
  svg.setAttribute("width", levels.length * gap);
  svg.setAttribute("height", height);
  const lines = [];
  for (const from of came.keys()) {
    for (const step of steps[from] || []) {
      const [[x1, y1], [x2, y2]] = [place.get(from), place.get(step[NEXT])];
      lines.push([`${from},${step[NEXT]}`, draw("line", { x1, y1, x2, y2 })]);
    }
  }
  const circles = states.map((_, number) => {
    const [cx, cy] = place.get(number);
    const circle = draw("circle", { cx, cy, r: radius });
    circle.addEventListener("click", () => {
      const path = [];
      for (let each = came.get(number); each; each = came.get(each[0])) path.unshift(each[1]);
      choices = path;
      at = path.length;
      show();
    });
    return circle;
  });
  element("graph-card").hidden = false;
  const bad = states.filter((state) => texts[state[BROKEN]]).length;
  const judged = data.loop === undefined ? `; ${bad} of them break${bad === 1 ? "s" : ""} a property` : "";
  element("graph-note").textContent = `${states.length}${judged}; from left to right: steps from the first`;
  return { circles, lines };
};

const show = () => {
  const numbers = way();
  const state = states[numbers[at]];
  const following = steps[numbers[at]];
  const { buffers, writers } = replayed(numbers);
  const [text, bad] = news(state, following);
  element("news").textContent = text;
  element("news").className = bad ? "bad" : "";
  element("where").textContent = `step ${at} of ${choices.length}`;
  element("first").disabled = element("back").disabled = at === 0;
  element("forward").disabled = element("last").disabled = at === choices.length;
  element("again").hidden = !data.run.length || choices.join() === data.run.join();
  showProcesses(state, following, buffers, following || []);
  showMemory(numbers, writers);
  showLanes(numbers);
  showGraph(numbers);
  const lines = allowed[state[ALLOWED]];
  element("allowed-card").hidden = !allowed.some((each) => each.length);
  element("allowed").replaceChildren(...(lines.length ? lines : ["nothing: no order of the operations explains what they returned"]).map((line) => make("li", { text: line })));
  const can = (following || []).length > 0;
  element("by-chance").disabled = !can;
  element("nearest").disabled = !can || state.length <= DISTANCE || state[DISTANCE] < 1;
  element("nearest").hidden = states[0].length <= DISTANCE || states[0][DISTANCE] < 0;
  history.replaceState(null, "", `#${shown ? `${shown}:` : ""}${choices.map((each) => each.toString(36)).join("")}${at === choices.length ? "" : `.${at}`}`);
};

/** Read the model and the steps from the page's address; what does not fit is left out. */
const read = () => {
  const [, model, given_, position] = /^#?(?:(\d+):)?(\w*)(?:\.(\d+))?/.exec(location.hash) || [];
  const number_ = Number(model || 0);
  if (number_ !== shown) use(number_ < given.models.length ? number_ : 0);
  const found = [];
  let number = 0;
  for (const each of given_ || "") {
    const step = (steps[number] || [])[parseInt(each, 36)];
    if (!step) break;
    found.push(parseInt(each, 36));
    number = step[NEXT];
  }
  if (!given_) { choices = given.begins ? [] : [...data.run]; at = 0; } else {
    choices = found;
    at = position === undefined ? found.length : Math.min(Number(position), found.length);
  }
};

element("first").onclick = () => go(0);
element("back").onclick = () => go(at - 1);
element("forward").onclick = () => go(at + 1);
element("last").onclick = () => go(choices.length);
element("again").onclick = () => { choices = [...data.run]; go(0); };
element("by-chance").onclick = () => goOn(byChance);
element("nearest").onclick = () => goOn(nearer);
element("many").onclick = tally;
element("export").onclick = () => {
  const link = make("a", { href: URL.createObjectURL(new Blob([JSON.stringify(exported(), null, 1)], { type: "application/json" })), download: "trace.json" });
  link.click();
  URL.revokeObjectURL(link.href);
};
element("import").onchange = async (event) => {
  try { imported(await event.target.files[0].text()); } catch { element("tally").textContent = "That file is no trace."; }
  event.target.value = "";
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName || "")) return;
  const keys = { ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1), Home: () => go(0), End: () => go(choices.length), r: () => element("again").click(), c: () => element("by-chance").click(), n: () => element("nearest").click() };
  const following = steps[way()[at]] || [];
  if (keys[event.key]) keys[event.key]();
  else if (/^[1-9]$/.test(event.key) && following[Number(event.key) - 1]) choose(Number(event.key) - 1);
  else return;
  event.preventDefault();
});
window.addEventListener("hashchange", () => { read(); show(); });
read();
element("main").hidden = false;
show();
