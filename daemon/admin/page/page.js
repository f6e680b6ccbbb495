"use strict";
// The status page. Whatever the daemon says is put in as text, never as markup. It reads /api/v1/status, alarms, records and
// readings/latest, and is told by /api/v1/live what changes; where that is not to be had it asks again and again.

const REFRESH_MS = 5000, STALE_MS = 8000, OLD_MS = 20000, SAY_EACH_MS = 5000, DRAW_MS = 500;
const ROWS_MAX = 200, ALARMS_MAX = 100, POINTS_MAX = 60, EVENTS_MAX = 20, BACKLOG_WINDOW_MS = 60000, BACKLOG_LEAST = 100;
const SHELVE_FOR = [["15 minutes", "15m"], ["1 hour", "1h"], ["8 hours", "8h"], ["1 day", "24h"], ["7 days", "7d"]];
const NBSP = "\u00a0";  // no line ends between a number and its unit
const SEVERITIES = ["critical", "warning", "info"];

const $ = (id) => document.getElementById(id);
const state = {
  status: null, live: null, source: null, freshAt: 0, offset: 0, tags: new Map(), order: [], drawn: new Set(), taken: [],
  backlog: new Map(), eventsEnd: "", statusAt: Date.now(), lastSaid: 0, unsaid: [], sayTimer: 0, listChanged: true, written: null,
  alarmsTimer: 0, again: 0,
};

// ---- small tools

function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A row for each item, by its key: rows stay the same nodes, so that neither focus nor an open menu is lost.
function fill(list, items, keyOf, create, update) {
  const known = list.rowOf || (list.rowOf = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (wanted.has(key)) continue;
    row.remove();
    known.delete(key);
  }
  items.forEach((item, index) => {
    let row = known.get(keyOf(item));
    if (!row) known.set(keyOf(item), row = create(item));
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
    update(row, item);
  });
}

const grouped = (number) => number.toLocaleString("en", { maximumFractionDigits: 0 });

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; ++unit) count /= 1024;
  return `${count.toLocaleString("en", { maximumFractionDigits: count < 10 && unit > 0 ? 1 : 0 })}${NBSP}${units[unit]}`;
}

function span(seconds) {
  if (!(seconds >= 0)) return `0${NBSP}s`;
  if (seconds < 120) return `${Math.round(seconds)}${NBSP}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}${NBSP}min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}${NBSP}h`;
  return `${Math.round(seconds / 86400)}${NBSP}days`;
}

const gatewayNow = () => Date.now() + state.offset;
const age = (time) => (gatewayNow() - time) / 1000;

function clock(time) {
  const at = new Date(time);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString()} `;
  return day + at.toLocaleTimeString();
}

// Integers beyond what a double holds keep their digits, where the browser tells them.
function parse(text) {
  return JSON.parse(text, (key, value, context) => {
    const digits = context && context.source;
    return typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(digits || "")
      ? BigInt(digits) : value;
  });
}

function shown(value) {
  if (value === null || value === undefined) return "no value";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7)));
}

async function ask(path, body) {
  const options = body === undefined ? { cache: "no-store" }
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const reply = await fetch(path, options);
  if (reply.status === 401) location.assign("/login");  // the log-in has ended
  if (reply.headers.get("Tidegate-Session")) $("log-out").hidden = false;
  const answer = parse(await reply.text());
  if (!reply.ok) throw new Error(answer.error || `answered ${reply.status}`);
  return answer;
}

function setState(node, kind, text) {
  node.className = `state ${kind}`;
  put(node, text);
}

// ---- what comes in

function heard() {
  state.freshAt = Date.now();
}

function takeStatus(status) {
  state.status = status;
  state.statusAt = Date.now();
  state.offset = status.time - Date.now();
  takeLive({
    time: status.time, clock: status.clock, uptime_seconds: status.uptime_seconds, tags: status.tags,
    alarms: { active: status.alarms_active, unacknowledged: status.alarms_unacknowledged, shelved: status.alarms_shelved },
    log: { ...status.log, ...status.log.streams.readings, events_end: status.log.streams.events.end },
    drivers: status.drivers.map((one) => ({ name: one.name, up: one.up, accepted: one.accepted })),
    uplinks: status.uplinks.map((one) => ({
      name: one.name, up: one.up, delay_seconds: one.delay_seconds,
      pending: Object.values(one.streams).reduce((sum, stream) => sum + stream.pending, 0),
    })),
  });
}

function takeLive(live) {
  heard();
  state.live = live;
  state.offset = live.time - Date.now();
  const now = Date.now();
  const accepted = live.drivers.reduce((sum, one) => sum + one.accepted, 0);
  state.taken = state.taken.filter((one) => now - one.at < 10000);
  state.taken.push({ at: now, count: accepted });
  for (const uplink of live.uplinks) {
    const seen = (state.backlog.get(uplink.name) || []).filter((one) => now - one.at < BACKLOG_WINDOW_MS);
    seen.push({ at: now, count: uplink.pending });
    state.backlog.set(uplink.name, seen);
  }
  if (live.log.events_end !== state.eventsEnd) {
    state.eventsEnd = live.log.events_end;
    readEvents(live.log.events_end);
  }
  drawLive();
  if (state.status) drawUplinks();
}

function takeReading(reading) {
  let known = state.tags.get(reading.tag);
  if (!known) {
    state.tags.set(reading.tag, known = { points: [] });
    state.order = [];
    state.listChanged = true;
  }
  const isNew = !known.reading || known.reading.time !== reading.time || known.reading.value !== reading.value;
  known.reading = reading;
  state.drawn.add(reading.tag);
  const value = typeof reading.value === "boolean" ? Number(reading.value) : reading.value;
  if (!isNew || typeof value !== "number") return;
  known.points.push(value);
  if (known.points.length > POINTS_MAX) known.points.shift();
}

async function readEvents(end) {
  const last = Number(end.split(":")[1]);
  try {
    const answer = await ask(`/api/v1/records?stream=events&limit=${EVENTS_MAX}&from=${Math.max(0, last - EVENTS_MAX)}`);
    if (state.eventsEnd === end) drawEvents(answer.records.reverse());
  } catch {
    state.eventsEnd = "";  // asks again with the next status
  }
}

async function readAlarms() {
  drawAlarms(await ask("/api/v1/alarms"));
}

async function refresh() {
  takeStatus(await ask("/api/v1/status"));
  drawStatus();
  await readAlarms();
  if (state.source && state.tags.size > 0) return;
  for (const reading of (await ask("/api/v1/readings/latest")).readings) takeReading(reading);
}

function alarmChanged(alarm) {
  clearTimeout(state.alarmsTimer);
  state.alarmsTimer = setTimeout(() => readAlarms().catch(() => {}), 300);
  if (alarm.state !== "raised") return;
  state.unsaid.push(alarm);
  if (state.unsaid.length === 1) state.sayTimer = setTimeout(sayAlarms, Math.max(0, state.lastSaid + SAY_EACH_MS - Date.now()));
}

// One sentence each few seconds at most: a flood of alarms is not to be read out. The gravest, and how many there are beside it.
function sayAlarms() {
  const [first, ...others] = state.unsaid.splice(0).sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  state.lastSaid = Date.now();
  say(`Alarm, ${first.severity}: ${first.message}${others.length > 0 ? `, and ${grouped(others.length)} more` : ""}`);
}

// To who does not see the page.
function say(text) {
  put($("announce"), text);
}

// ---- drawing

function drawTile(name, figure, detail) {
  return { name, figure, detail };
}

// At first by what this page has seen, because a start writes more than its share.
function writtenPerDay(live) {
  const goesOn = state.written && state.written.uptime <= live.uptime_seconds && state.written.bytes <= live.log.written_bytes;
  const first = goesOn ? state.written
    : state.written = { uptime: live.uptime_seconds, bytes: live.log.written_bytes };
  const seen = live.uptime_seconds - first.uptime;
  if (live.uptime_seconds >= 3600) return [bytes(live.log.written_bytes / live.uptime_seconds * 86400), `by ${span(live.uptime_seconds)} of running`];
  if (seen < 5) return ["…", "measuring"];
  return [bytes((live.log.written_bytes - first.bytes) / seen * 86400), `by the last ${span(seen)}`];
}

function readingsPerSecond() {
  const first = state.taken[0], last = state.taken[state.taken.length - 1];
  const seconds = first ? (last.at - first.at) / 1000 : 0;
  return seconds < 2 ? null : Math.max(0, last.count - first.count) / seconds;
}

function drawLive() {
  const live = state.live;
  const rate = readingsPerSecond();
  const left = live.log.seconds_left;
  const open = live.uplinks.filter((one) => !one.up).length;
  const pending = live.uplinks.reduce((most, one) => Math.max(most, one.pending), 0);
  const quiet = live.alarms.shelved > 0 ? `, ${live.alarms.shelved} shelved` : "";
  const tiles = [
    drawTile("Alarms", grouped(live.alarms.active), `${live.alarms.unacknowledged} not acknowledged${quiet}`),
    drawTile("Readings a second", rate === null ? "…" : rate < 10 ? rate.toFixed(1) : grouped(rate), `${grouped(live.tags)} tags`),
    drawTile("Uplinks", open === 0 ? "all up" : `${open} down`, `largest backlog ${grouped(pending)}`),
    drawTile("Ring filled", `${(live.log.fill * 100).toFixed(live.log.fill < 0.1 ? 1 : 0)} %`,
      live.log.full ? "it is full" : left === undefined ? "waits for an uplink" : `waits for an uplink, full in ${span(left)}`),
    drawTile("Written to flash a day", ...writtenPerDay(live)),
  ];
  fill($("tiles"), tiles, (tile) => tile.name, () => {
    const box = make("div");
    box.append(make("dt"), make("dd", "figure"), make("dd", "quiet"));
    return box;
  }, (box, tile) => [tile.name, tile.figure, tile.detail].forEach((text, i) => put(box.children[i], text)));
  if (state.status) {
    put($("facts"), `Tidegate ${state.status.version} · up ${span(live.uptime_seconds)} · clock ${live.clock}`);
  }
}

// What had the focus may be gone with its row, or hidden: whoever works by keyboard goes on beside it, not at the top of the page.
function focusOneOf(row, next, heading) {
  if (row.contains(document.activeElement)) return;
  const usable = (one) => one && one.isConnected && [...one.querySelectorAll("button, summary")].find((part) => part.offsetParent && !part.disabled);
  (usable(row) || usable(next) || heading).focus();
}

function alarmRow(alarm, isShelved) {
  const row = make("li");
  const severity = make("span", "state");
  const what = make("div", "what");
  what.append(make("p", "name"), make("p", "quiet"), make("p", "problem"));
  what.lastChild.setAttribute("role", "status");
  const actions = make("div", "actions");
  const act = async (action, done, body, button) => {
    const hadFocus = row.contains(document.activeElement);
    const next = row.nextElementSibling || row.previousElementSibling;
    button.disabled = true;
    put(what.lastChild, "");
    try {
      const by = $("by").value.trim();
      await ask(`/api/v1/alarms/${encodeURIComponent(alarm.alarm)}/${action}`, by ? { by, ...body } : body);
      say(`${alarm.message || alarm.alarm}: ${done}`);
      await refresh();
    } catch (problem) {
      put(what.lastChild, problem.message);
    }
    button.disabled = false;
    if (hadFocus) focusOneOf(row, next, $("h-alarms"));
  };
  if (isShelved) {
    const back = make("button", "", "Unshelve");
    back.type = "button";
    back.setAttribute("aria-label", `Unshelve ${alarm.alarm}`);
    back.addEventListener("click", () => act("unshelve", "no longer shelved", {}, back));
    actions.append(back);
  } else {
    const seen = make("button", "main", "Acknowledge");
    seen.type = "button";
    seen.setAttribute("aria-label", `Acknowledge ${alarm.alarm}`);
    // Of the raise that is shown: another one may have come since.
    // The second click of two would meet the alarm that has come in its place.
    seen.addEventListener("click", (event) => event.detail < 2 && act("ack", "acknowledged", { occurrence: row.occurrence }, seen));
    actions.append(seen, shelveMenu(alarm, act));
  }
  row.append(severity, what, actions);
  return row;
}

function shelveMenu(alarm, act) {
  const details = make("details");
  const summary = make("summary", "", "Shelve");
  summary.setAttribute("aria-label", `Shelve ${alarm.alarm}`);
  const menu = make("div", "menu");
  for (const [name, length] of SHELVE_FOR) {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      details.open = false;
      summary.focus();
      act("shelve", `shelved for ${name}`, { for: length }, button);
    });
    menu.append(button);
  }
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    summary.focus();
  });
  details.append(summary, menu);
  return details;
}

function drawAlarms(answer) {
  const shelved = new Set(answer.shelved.map((one) => one.alarm));
  const all = answer.alarms.filter((one) => !shelved.has(one.alarm)).sort((a, b) =>
    Number(Boolean(a.acknowledged)) - Number(Boolean(b.acknowledged)) ||
    SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || b.time - a.time);
  const active = all.slice(0, ALARMS_MAX);
  fill($("alarms"), active, (alarm) => alarm.alarm, (alarm) => alarmRow(alarm, false), (row, alarm) => {
    row.occurrence = alarm.occurrence;
    setState(row.children[0], alarm.severity, alarm.severity);
    put(row.children[1].children[0], alarm.message);
    const by = alarm.acknowledged && (alarm.acknowledged.by ? ` by ${alarm.acknowledged.by}` : "");
    const seen = alarm.acknowledged ? ` · acknowledged${by} at ${clock(alarm.acknowledged.time)}` : "";
    put(row.children[1].children[1], `${alarm.rule} · ${alarm.tag} · since ${clock(alarm.time)}${seen}`);
    row.querySelector("button.main").hidden = Boolean(alarm.acknowledged);
  });
  fill($("shelved"), answer.shelved, (alarm) => alarm.alarm, (alarm) => alarmRow(alarm, true), (row, alarm) => {
    setState(row.children[0], "", alarm.severity);
    const raised = answer.alarms.find((one) => one.alarm === alarm.alarm);
    put(row.children[1].children[0], raised ? raised.message : alarm.alarm);
    put(row.children[1].children[1], `${raised ? "raised" : "not raised"} · until ${clock(alarm.until)}${alarm.by ? ` · by ${alarm.by}` : ""}`);
  });
  $("no-alarms").hidden = all.length > 0 && all.length === active.length;
  put($("no-alarms"), all.length === 0 ? (answer.alarms.length === 0 ? "No alarm is raised." : "No alarm is raised but those that are shelved.") : `${grouped(all.length - active.length)} more alarms are raised.`);
  $("shelved-part").hidden = answer.shelved.length === 0;
  document.title = `${all.length > 0 ? `(${all.length}) ` : ""}${state.status ? state.status.gateway : "Tidegate"}`;
}

function backlogEnd(name) {
  const seen = state.backlog.get(name) || [];
  const first = seen[0], last = seen[seen.length - 1];
  if (!first || last.count < BACKLOG_LEAST || last.at - first.at < 5000) return "";
  const rate = (first.count - last.count) / (last.at - first.at) * 1000;
  if (rate <= 0) return rate < 0 ? ` · growing by ${grouped(Math.max(1, -rate))} a second` : "";
  return ` · shrinking by ${grouped(Math.max(1, rate))} a second, gone in about ${span(last.count / rate)}`;
}

function plainRow() {
  const row = make("li");
  const what = make("div", "what");
  what.append(make("p", "name"), make("p", "quiet"), make("p", "problem"));
  row.append(make("span", "state"), what);
  return row;
}

function drawUplinks() {
  const now = new Map(state.live.uplinks.map((one) => [one.name, one]));
  fill($("uplinks"), state.status.uplinks, (one) => one.name, plainRow, (row, one) => {
    const live = now.get(one.name) || one;
    setState(row.children[0], live.up ? "good" : "bad", live.up ? "up" : "down");
    const [name, facts, problem] = row.children[1].children;
    put(name, one.name);
    const lost = Object.values(one.streams).reduce((sum, stream) => sum + stream.dropped, 0);
    const delivered = Object.values(one.streams).reduce((sum, stream) => sum + stream.delivered, 0);
    const since = live.up === one.up ? ` for ${span(one.since_seconds)}` : "";
    put(facts, `${live.up ? "up" : "down"}${since} · backlog ${grouped(live.pending || 0)}, delay ${span(live.delay_seconds)}` +
      `${backlogEnd(one.name)} · delivered ${grouped(delivered)}, lost ${grouped(lost)}` +
      (one.dead_letters > 0 ? ` · dead letters ${grouped(one.dead_letters)}` : "") + (one.waiting ? ` · ${one.waiting}` : ""));
    put(problem, (live.up ? one.refused : one.detail) || "");  // what is refused for long is down, and its detail
  });
  $("no-uplinks").hidden = state.status.uplinks.length > 0;
}

function drawDrivers() {
  const rows = [];
  for (const driver of state.status.drivers) {
    const refused = Object.values(driver.refused).reduce((sum, count) => sum + count, 0);
    rows.push({ key: driver.name, name: driver.name, up: driver.up, detail: driver.detail,
      facts: `${grouped(driver.accepted)} readings taken${refused > 0 ? ` · ${grouped(refused)} refused` : ""}` +
        (driver.devices.length > 0 ? ` · ${driver.devices.filter((one) => one.up).length} of ${driver.devices.length} devices answer` : "") });
    for (const device of driver.devices) {
      const failed = Object.entries(device.requests).filter(([result]) => result !== "ok");
      rows.push({ key: `${driver.name}\n${device.name}`, name: device.name, up: device.up, detail: device.detail, isDevice: true,
        facts: [`${grouped(device.requests.ok || 0)} requests answered`, ...failed.map(([result, count]) => `${grouped(count)} ${result.replaceAll("_", " ")}`)].join(" · ") });
    }
  }
  fill($("drivers"), rows, (one) => one.key, plainRow, (row, one) => {
    setState(row.children[0], one.up ? "good" : "bad", one.up ? "up" : "down");
    row.children[1].classList.toggle("deeper", Boolean(one.isDevice));
    [one.name, one.facts, one.up ? "" : one.detail || ""].forEach((text, i) => put(row.children[1].children[i], text));
  });
}

function drawLog() {
  const log = state.status.log;
  fill($("log"), Object.entries(log.streams), ([name]) => name, ([name]) => {
    const row = plainRow();
    const bar = make("progress");
    bar.max = 1;
    bar.setAttribute("aria-label", `${name}: part of the ring that waits for an uplink`);
    row.children[1].append(bar);
    return row;
  }, (row, [name, stream]) => {
    const kind = stream.full ? "bad" : stream.fill > 0.8 ? "warning" : "good";
    setState(row.children[0], kind, `${(stream.fill * 100).toFixed(0)} %`);
    put(row.children[1].children[0], name);
    put(row.children[1].children[1], `${grouped(stream.stored)} records kept in ${bytes(stream.bytes)}` +
      (stream.seconds_left === undefined ? "" : ` · full in ${span(stream.seconds_left)}`) + (stream.full ? " · full" : ""));
    row.children[1].lastChild.value = stream.fill;
  });
  const problem = log.detail || log.storage_problem || log.state_failure || "";
  put($("log-facts"), problem ? `Problem: ${problem}`
    : `${bytes(log.written_bytes)} written since the start, ${grouped(log.syncs)} syncs, the last one took ${(log.last_sync_seconds * 1000).toFixed(1)} ms`);
  $("log-facts").classList.toggle("problem", problem !== "");
}

function drawEvents(events) {
  fill($("events"), events, (one) => `${one.log_epoch || one.epoch}:${one.seq}`, () => {
    const row = make("li");
    row.append(make("time"), make("div"));
    return row;
  }, (row, one) => {
    // What helps only programs is left to them.
    const { event, time, epoch, log_epoch, seq, time_ns, boot_id, boot_time, offset, gateway, ...rest } = one;
    put(row.children[0], clock(time));
    row.children[0].dateTime = new Date(time).toISOString();
    const parts = Object.entries(rest).map(([name, value]) => (name === "detail" ? value : `${name} ${value}`));
    put(row.children[1], [event, ...parts].join(" · "));
  });
}

function drawNames(id, what, names = []) {
  $(id).hidden = names.length === 0;
  put($(id), names.length === 0 ? "" : `${what}: ${names.join(", ")}`);
}

function drawStatus() {
  put($("gateway"), state.status.gateway);
  drawNames("idle-rules", "Rules that match no tag so far, and so raise nothing", state.status.rules_without_tag);
  drawNames("restart-needed", "Changed settings that a reload cannot take over, and that wait for a restart", state.status.restart_needed_for);
  drawUplinks();
  drawDrivers();
  drawLog();
}

function wantedTags() {
  if (state.order.length !== state.tags.size) state.order = [...state.tags.keys()].sort();
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  return state.order.filter((tag) => words.every((word) => tag.toLowerCase().includes(word)));
}

function valueRow(tag) {
  const row = make("tr");
  const value = make("td", "number value");
  value.append(make("span"), make("span", "unit"));
  const trend = make("td", "trend-cell");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "trend");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  trend.append(svg);
  const quality = make("td", "quality");
  quality.append(make("span", "state"));
  row.append(make("td", "tag", tag), value, trend, quality, make("td", "number age"));
  return row;
}

function trendPath(points) {
  if (points.length < 2) return "";
  const least = Math.min(...points), most = Math.max(...points);
  const at = (value) => (most === least ? 12 : 22 - (value - least) / (most - least) * 20).toFixed(1);
  const step = 100 / (POINTS_MAX - 1), start = 100 - step * (points.length - 1);
  return points.map((value, i) => `${i === 0 ? "M" : "L"}${(start + i * step).toFixed(1)} ${at(value)}`).join("");
}

function drawValue(row, tag) {
  const { reading, points } = state.tags.get(tag);
  const text = shown(reading.value);
  put(row.children[1].firstChild, text.length > 60 ? `${text.slice(0, 60)}…` : text);
  put(row.children[1].lastChild, reading.unit ? ` ${reading.unit}` : "");
  row.children[1].title = String(reading.value);
  row.children[2].firstChild.firstChild.setAttribute("d", trendPath(points));
  const quality = row.children[3].firstChild;
  setState(quality, { good: "good", uncertain: "warning" }[reading.quality] || "bad", reading.quality + (reading.reason ? `: ${reading.reason}` : ""));
}

function drawValues() {
  const body = $("readings");
  if (state.listChanged) {
    const wanted = wantedTags();
    fill(body, wanted.slice(0, ROWS_MAX), (tag) => tag, valueRow, drawValue);
    const hidden = wanted.length - ROWS_MAX;
    put($("more"), state.tags.size === 0 ? "No reading has come yet." : wanted.length === 0 ? "No tag matches the filter."
      : hidden > 0 ? `${grouped(hidden)} more tags: the filter finds them.` : "");
    state.listChanged = false;
  }
  for (const [tag, row] of body.rowOf) {
    if (state.drawn.has(tag)) drawValue(row, tag);
    put(row.lastChild, span(Math.max(0, age(state.tags.get(tag).reading.time))));
  }
  state.drawn.clear();
}

// ---- keeping at it

function listen() {
  if (state.source || document.hidden) return;
  const source = state.source = new EventSource("/api/v1/live");
  source.addEventListener("status", (event) => takeLive(parse(event.data)));
  source.addEventListener("reading", (event) => takeReading(parse(event.data)));
  source.addEventListener("alarm", (event) => alarmChanged(parse(event.data)));
  source.addEventListener("missed", () => alarmChanged({}));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) stopListening();  // refused: as when too many listen
  });
}

function stopListening() {
  if (state.source) state.source.close();
  state.source = null;
}

function drawLink() {
  const isStale = Date.now() - state.freshAt > STALE_MS;
  const isOld = !isStale && Date.now() - state.statusAt > OLD_MS;  // values come, and the rest is not answered
  const isLive = state.source && state.source.readyState === EventSource.OPEN;
  setState($("link"), isStale ? "bad" : isLive && !isOld ? "good" : "warning",
    isStale ? "not connected" : isOld ? "partly old" : isLive ? "live" : "every 5 seconds");
  const since = (time) => new Date(time).toLocaleTimeString();
  const old = state.freshAt === 0 ? "Waiting for the gateway. This page tries again by itself."
    : isStale ? `The gateway does not answer: what is shown is of ${since(state.freshAt)} and old. This page tries again by itself.`
      : `Values are live. Alarms, uplinks, drivers and the log are of ${since(state.statusAt)}: the gateway does not answer for them. This page tries again by itself.`;
  const banner = $("banner");
  const isShown = isStale || isOld;
  if (banner.hidden === isShown) banner.hidden = !isShown;
  if (isShown) put(banner, old);
  document.body.classList.toggle("stale", isStale);
}

async function keepFresh() {
  clearTimeout(state.again);
  if (document.hidden) return;
  listen();
  try {
    await refresh();
  } catch { /* drawLink says so */ }
  clearTimeout(state.again);
  state.again = setTimeout(keepFresh, REFRESH_MS);
}

function remember() {
  try {
    $("by").value = localStorage.getItem("by") || "";
    $("by").addEventListener("change", () => localStorage.setItem("by", $("by").value.trim()));
  } catch { /* a browser that keeps nothing */ }
}

$("log-out").addEventListener("click", () => ask("/logout", {}).then(() => location.assign("/login"), (problem) => say(problem.message)));
$("filter").addEventListener("input", () => { state.listChanged = true; drawValues(); });
// A page that nobody sees costs the gateway nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? stopListening() : keepFresh()));
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
});
setInterval(() => { if (!document.hidden) { drawValues(); drawLink(); } }, DRAW_MS);
remember();
keepFresh();
