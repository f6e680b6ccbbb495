// The status page in Chromium, at the real daemon with simulated Modbus devices, a broker to take readings from and one to send
// them to that comes late. Arguments: the program, a folder for what it leaves behind (screenshots), the path of Chromium.
// scripts/test --target page runs it, with playwright-core within reach of NODE_PATH.
"use strict";
const assert = require("node:assert");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [program, out, browserPath] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tidegate-page-"));
const children = new Set();
const MARKUP = "<img src=x onerror=window.taken=1>";

function begin(name, command, ...parameters) {
  const log = fs.openSync(path.join(folder, `${name}.log`), "a");
  const child = spawn(command, parameters, { stdio: ["ignore", log, log] });
  children.add(child);
  child.ended = new Promise((resolve) => child.on("exit", (code) => { children.delete(child); resolve(code); }));
  return child;
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function until(what, reached, patience = 30000) {
  const deadline = Date.now() + patience;
  for (;;) {
    if (await reached()) return;
    if (Date.now() > deadline) throw new Error(`not within ${patience / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function broker(name, port) {
  const file = path.join(folder, `${name}.conf`);
  fs.writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n`);
  return begin(name, "/usr/sbin/mosquitto", "-c", file);
}

function configure(ports) {
  const text = `
[gateway]
id = "plant-7"
data_dir = "${folder}/data"
runtime_dir = "${folder}/run"
admin = "127.0.0.1:${ports.admin}"
[[driver.mqtt]]
name = "sensors"
broker = "mqtt://127.0.0.1:${ports.source}"
  [[driver.mqtt.subscribe]]
  topic = "plant/{device}/{tag}"
  value = "/value"
[[driver.modbus]]
name = "line-1"
url = "tcp://127.0.0.1:${ports.modbus}"
timeout = "200ms"
  [[driver.modbus.device]]
  name = "boiler"
  unit = 1
  interval = "500ms"
  tags = [
    { name = "temp", address = "holding:2", type = "float32", unit = "°C" },
    { name = "uptime", address = "holding:4", type = "uint32", unit = "ms" },
    { name = "level", address = "holding:1", type = "int16", scale = 0.1 },
    { name = "run", address = "coil:3" },
  ]
  [[driver.modbus.device]]
  name = "pump"
  unit = 2
  interval = "500ms"
  tags = [
    { name = "flow", address = "input:2", type = "float32", unit = "m3/h" },
    { name = "fault", address = "discrete:0" },
  ]
  [[driver.modbus.device]]
  name = "switched-off"
  unit = 9
  tags = [{ name = "temp", address = "holding:0", type = "int16" }]
[[rule]]
name = "uptime-odd"
type = "threshold"
tags = ["boiler/uptime"]
raise = "> -1"
severity = "critical"
message = "{tag} is {value} {unit}"
[[rule]]
name = "valve-open"
type = "threshold"
tags = ["valve-*/position"]
raise = "> 90"
message = "{tag} stands at {value} %"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:${ports.target}"
topic = "tidegate/{gateway}/{stream}"
[[uplink.file]]
name = "export"
path = "${folder}/export-{stream}.ndjson"
`;
  fs.writeFileSync(path.join(folder, "tidegate.toml"), text);
}

function publish(port, topic, value) {
  execFileSync("/usr/bin/mosquitto_pub", ["-h", "127.0.0.1", "-p", String(port), "-q", "1", "-t", topic, "-m", JSON.stringify({ value })]);
}

// Every text that is seen, and what its colour makes with what lies behind it (WCAG 2, 1.4.3).
function lowContrasts() {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = channels(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const isText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!isText || node.offsetParent === null || node.closest("noscript")) continue;
    const [a, b] = [luminance(channels(getComputedStyle(node).color)), luminance(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${node.textContent.trim().slice(0, 40)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return found;
}

const VIEWS = {
  light: { viewport: { width: 1100, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1100, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true },
};

async function lookAt(browser, name, url, complaints) {
  const context = await browser.newContext({ locale: "en-GB", ...VIEWS[name] });
  const page = await context.newPage();
  page.on("pageerror", (problem) => complaints.push(`${name}: ${problem.message}`));
  page.on("console", (line) => { if (/Content.Security.Policy|Refused/.test(line.text())) complaints.push(`${name}: ${line.text()}`); });
  await page.goto(url);
  await page.getByText("live", { exact: true }).waitFor();
  await page.locator("#readings tr").nth(5).waitFor();
  return page;
}

async function checkLooks(page, name) {
  assert.deepEqual(await page.evaluate(lowContrasts), [], `${name}: texts that are hard to read`);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: wider than the screen`);
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("input")].filter((one) => one.labels.length === 0).length);
  assert.equal(unnamed, 0, `${name}: fields without a label`);
  await page.screenshot({ path: path.join(out, `page-${name}.png`) });
  await page.screenshot({ path: path.join(out, `page-${name}-whole.png`), fullPage: true });
}

async function checkValues(page, ports) {
  const uptime = page.locator("tr", { hasText: "boiler/uptime" }).locator("td.value");
  const before = await uptime.innerText();
  await until("the value of boiler/uptime moves", async () => (await uptime.innerText()) !== before);
  await until("its trend is drawn", () => page.locator("tr", { hasText: "boiler/uptime" }).locator("path").getAttribute("d"));
  publish(ports.source, `plant/lamp/${MARKUP}`, 1);
  await page.getByText(`lamp/${MARKUP}`).waitFor();
  assert.equal(await page.evaluate(() => window.taken || document.images.length), 0, "a tag's name has become markup");
  await page.getByLabel("Filter").fill("PUMP fl");
  await until("the filter leaves one tag", async () => (await page.locator("#readings tr").count()) === 1);
  await page.getByLabel("Filter").fill("");
}

async function checkAlarms(page, ports) {
  const idle = page.getByText("Rules that match no tag so far, and so raise nothing: valve-open", { exact: true });
  await idle.waitFor();
  publish(ports.source, "plant/valve-1/position", 97);
  publish(ports.source, "plant/valve-2/position", 95);
  await page.getByText("valve-1/position stands at 97 %").waitFor();
  await idle.waitFor({ state: "detached" });
  const said = (words) => until(`"${words}" is said`, async () => (await page.locator("#announce").textContent()).match(words));
  const keepsFocus = () => until("the focus stays with the alarms", () =>
    page.evaluate(() => document.activeElement.closest("#alarms, #shelved, #h-alarms") !== null));
  await said(/Alarm, .*valve-\d/);
  await page.getByLabel("Your name").fill("ann");
  // By the keyboard alone.
  await page.getByRole("button", { name: "Acknowledge valve-open/valve-1/position" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText(/valve-1\/position · since .* · acknowledged by ann/).waitFor();
  await said(/valve-1.*: acknowledged/);
  await keepsFocus();
  await page.getByLabel("Shelve valve-open/valve-2/position").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("details[open]").count(), 0, "Escape leaves the menu open");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#shelved").getByText("valve-2/position stands at 95 %").waitFor();
  await said(/valve-2.*: shelved for 15 minutes/);
  await keepsFocus();
  await page.getByRole("button", { name: "Unshelve valve-open/valve-2/position" }).click();
  await page.locator("#alarms").getByText("valve-2/position stands at 95 %").waitFor();
}

// A tunnel that lets the stream through, and no other request.
async function checkPartlyOld(page) {
  await page.route("**/api/v1/status", (route) => route.abort());
  await page.getByText("partly old", { exact: true }).waitFor();
  await page.getByText(/^Values are live\. Alarms, .* are of /).waitFor();
  await page.unroute("**/api/v1/status");
  await page.getByText("live", { exact: true }).waitFor();
}

async function checkReconnect(page, start, daemon) {
  daemon.kill("SIGTERM");
  assert.equal(await daemon.ended, 0, "the daemon does not end well while a page listens");
  await page.getByText(/what is shown is of .* and old/).waitFor();
  await page.screenshot({ path: path.join(out, "page-old.png") });
  start();
  await until("the page finds the daemon again", () => page.locator("#banner").isHidden());
  await page.getByText("live", { exact: true }).waitFor();
}

// A gateway of its own, with a token and TLS.
async function checkLogIn(browser, complaints) {
  const token = "q7Lx0pWz4Rk2Vn8s";
  const home = path.join(folder, "secure");
  fs.mkdirSync(home);
  fs.writeFileSync(path.join(home, "token"), token);
  execFileSync("/usr/bin/openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=box",
    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path.join(home, "key.pem"), "-out", path.join(home, "cert.pem")], { stdio: "ignore" });
  const port = await freePort();
  fs.writeFileSync(path.join(home, "tidegate.toml"), `[gateway]
id = "plant-8"
data_dir = "${home}/data"
runtime_dir = "${home}/run"
admin = "0.0.0.0:${port}"
admin_token = { file = "token" }
admin_tls = { cert = "cert.pem", key = { file = "key.pem" } }
[[driver.simulator]]
name = "sim"
devices = 2
tags = 4
interval = "200ms"
[[rule]]
name = "hot"
type = "threshold"
tags = ["sim-1/tag-1", "sim-1/tag-2"]
raise = "> -1000000"
`);
  begin("secure", program, "run", "--config", path.join(home, "tidegate.toml"));
  const url = `https://127.0.0.1:${port}/`;
  const log = path.join(folder, "secure.log");
  await until("the gateway with TLS is ready", () => fs.readFileSync(log, "utf8").includes("ready"));
  for (const name of ["dark", "light"]) {
    const context = await browser.newContext({ locale: "en-GB", ignoreHTTPSErrors: true, ...VIEWS[name] });
    const page = await context.newPage();
    page.on("pageerror", (problem) => complaints.push(`log-in: ${problem.message}`));
    page.on("console", (line) => { if (/Content.Security.Policy|Refused/.test(line.text())) complaints.push(`log-in: ${line.text()}`); });
    await page.goto(url);
    assert.equal(page.url(), `${url}login`);
    await page.getByLabel("Token of this gateway").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("This is not the token of this gateway.").waitFor();
    await checkLooks(page, `log-in-${name}`);
    await page.getByLabel("Token of this gateway").fill(token);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("live", { exact: true }).waitFor();
    const [cookie] = await context.cookies();
    assert.ok(cookie.name.startsWith("__Host-tidegate-") && cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
    await page.getByRole("button", { name: /^Acknowledge hot\// }).first().click();
    await page.getByText(/ · acknowledged/).first().waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token of this gateway").waitFor();
    await page.goto(url);
    assert.equal(page.url(), `${url}login`);
    await context.close();
  }
}

// As it stands in the status while it is sought which record is to blame, before the next one is read.
async function checkRefused(page) {
  const said = await page.evaluate(() => {
    const uplink = state.status.uplinks.find((one) => one.name === "cloud");
    uplink.refused = "readings are refused: 422 (for 3 s)";
    drawUplinks();
    return [...document.querySelectorAll("#uplinks li")].find((row) => row.textContent.includes("cloud")).textContent;
  });
  assert.ok(said.includes("readings are refused: 422 (for 3 s)"), said);
}

async function checkRestartNeeded(page, daemon) {
  const file = path.join(folder, "tidegate.toml");
  const text = fs.readFileSync(file, "utf8");
  const reloadWith = (content) => { fs.writeFileSync(file, content); daemon.kill("SIGHUP"); };
  const said = page.getByText("Changed settings that a reload cannot take over, and that wait for a restart: buffer.size", { exact: true });
  reloadWith(`${text}[buffer]\nsize = "64MiB"\n`);
  await said.waitFor();
  reloadWith(text);
  await said.waitFor({ state: "detached" });
}

async function run() {
  const ports = {};
  for (const name of ["admin", "source", "target", "modbus"]) ports[name] = await freePort();
  configure(ports);
  broker("source", ports.source);
  begin("modbus", program, "simulate", "modbus", "--listen", `127.0.0.1:${ports.modbus}`, "--units", "1,2");
  const url = `http://127.0.0.1:${ports.admin}/`;
  const start = () => begin("daemon", program, "run", "--config", path.join(folder, "tidegate.toml"));
  const daemon = start();
  await until("the daemon is ready", () => fetch(`${url}readyz`).then((reply) => reply.ok, () => false));
  const browser = await chromium.launch({ executablePath: browserPath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
  const complaints = [];
  const page = await lookAt(browser, "light", url, complaints);
  await checkValues(page, ports);
  await checkAlarms(page, ports);
  await page.locator("#uplinks li", { hasText: "cloud" }).getByText("down", { exact: true }).waitFor();
  await page.locator("#drivers li", { hasText: "switched-off" }).getByText("down", { exact: true }).waitFor();
  await until("trends are there to look at", () => page.evaluate(() => state.tags.get("boiler/temp").points.length > 20));
  await checkLooks(page, "light");
  for (const name of ["dark", "phone"]) await checkLooks(await lookAt(browser, name, url, complaints), name);
  broker("target", ports.target);
  await page.locator("#uplinks li", { hasText: "cloud" }).getByText("up", { exact: true }).waitFor({ timeout: 90000 });
  await page.locator("#events").getByText("uplink-up · uplink cloud").waitFor();
  await checkRefused(page);
  await checkRestartNeeded(page, daemon);
  await checkLogIn(browser, complaints);
  await checkPartlyOld(page);
  await checkReconnect(page, start, daemon);
  await browser.close();
  assert.deepEqual(complaints, []);
}

async function end(code, problem) {
  if (problem) console.error(problem, "\nwhat the daemon says:\n", fs.readFileSync(path.join(folder, "daemon.log"), "utf8").slice(-3000));
  const all = [...children];
  for (const child of all) child.kill("SIGTERM");
  await Promise.all(all.map((child) => child.ended));
  fs.rmSync(folder, { recursive: true });
  process.exit(code);
}

fs.mkdirSync(out, { recursive: true });
setTimeout(() => end(1, new Error("not at its end within three minutes")), 180000).unref();
run().then(() => { console.log(`the page works; screenshots in ${out}`); return end(0); }, (problem) => end(1, problem));
