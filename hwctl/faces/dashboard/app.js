// The dashboard: takes what the stream tells, and hands it to the views.

import { get, Problem, send, signOut, whenUnauthorised, whoAmI } from "./api.js";
import { askForToken, confirmPower, confirmShutdown } from "./dialogs.js";
import { byId, h, reconcile, setHidden, setText } from "./dom.js";
import { FansView } from "./fans.js";
import { clock, day, duration, full } from "./format.js";
import { follow } from "./live.js";
import { NodeView } from "./nodes.js";
import { ShutdownView } from "./shutdown.js";
import { StripView } from "./strip.js";
import { SupplyView } from "./supply.js";

const MOST_EVENTS = 200;
const FEW_NODES = 4;
const MANY_NODES = 12;
const ENDED_SHOWN_MS = 8000;

const supplies = new Map();
const strips = new Map();
const nodes = new Map();
const ended = new Map(); // operation id -> when this page saw it end
let about = { strip_modes: [], min_off_s: null, version: "" };
let rig = null;
let noticeTimer = 0;

function notice(text) {
  const box = byId("notice");
  setText(box, text);
  setHidden(box, false);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => setHidden(box, true), 9000);
}

/** For commands without a box of their own. */
async function order(method, path, body) {
  try {
    await send(method, path, body);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    notice(problem.text);
  }
}

const at = (kind, id) => `/api/v1/${kind}/${encodeURIComponent(id)}`;

const shutdown = new ShutdownView(byId("shutdown"), {
  start: () => confirmShutdown(rig.shutdown, ({ reason }) => send("POST", "/api/v1/shutdown", { reason })),
  cancel: () => order("DELETE", "/api/v1/shutdown"),
});
const fans = new FansView(byId("fans"), (id, body) => order("PUT", at("fans", id), body));

function power(node, action) {
  confirmPower(node, action, about.min_off_s, ({ force, reason }) =>
    send("POST", `${at("nodes", node.id)}/power`, { action, force, reason }, { "Idempotency-Key": randomKey() }),
  );
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const makeNode = (state) =>
  new NodeView(state, {
    power,
    locate: (id, active) => order("PUT", `${at("nodes", id)}/locate`, { active }),
    cancel: (id) => order("DELETE", at("operations", id)),
  });

/** The operation that a card shows: the one that holds the node, else one that has just ended. */
function operationOf(node, operations) {
  const held = operations.find((one) => one.id === node.operation);
  if (held) return held;
  const last = operations.filter((one) => one.target === node.id).sort((a, b) => (a.started < b.started ? 1 : -1))[0];
  if (!last || !ended.has(last.id)) return null;
  return last.state === "failed" || Date.now() - ended.get(last.id) < ENDED_SHOWN_MS ? last : null;
}

/** Only what ended while the page was open is shown as news. */
function noteEnds(snapshot, first) {
  const running = new Set((first ? [] : rig.operations).filter((one) => !["done", "failed", "cancelled"].includes(one.state)).map((one) => one.id));
  for (const one of snapshot.operations) {
    if (["done", "failed", "cancelled"].includes(one.state) && running.has(one.id)) ended.set(one.id, Date.now());
  }
}

function showRig(snapshot) {
  const first = rig === null;
  noteEnds(snapshot, first);
  rig = snapshot;
  document.body.classList.remove("waiting");
  setText(byId("title"), rig.title || rig.name);
  if (first) document.title = `${rig.title || rig.name} · hwctl`;
  setText(byId("clock"), `${day(rig.at)} ${clock(rig.at)}`);
  byId("clock").dateTime = rig.at ?? "";
  setText(byId("emulated"), rig.speed === 1 ? "emulated" : `emulated · ${rig.speed}×`);
  setHidden(byId("emulated"), !rig.emulated);
  byId("health").className = `health ${rig.healthy && !rig.problems.length ? "good" : rig.healthy ? "warn" : "bad"}`;
  setText(byId("health").querySelector(".text"), rig.healthy ? (rig.problems.length ? "running, with problems" : "healthy") : "not healthy");
  const problems = byId("problems");
  setHidden(problems, !rig.problems.length);
  if (problems.dataset.shown !== rig.problems.join("\n")) {
    problems.dataset.shown = rig.problems.join("\n");
    problems.replaceChildren(...rig.problems.map((text) => h("li", { text })));
  }
  reconcile(byId("strips"), strips, rig.strips, (state) => new StripView(state, about.strip_modes, (id, body) => order("PUT", at("strips", id), body)));
  reconcile(byId("supplies"), supplies, rig.supplies, (state) => new SupplyView(state));
  shutdown.update(rig.shutdown, rig.nodes);
  fans.update(rig.fans);
  showNodes();
}

function showNodes() {
  const wanted = byId("nodes-filter").value.trim().toLowerCase();
  const shown = rig.nodes.filter((node) => !wanted || `${node.id} ${node.role} ${node.power} ${node.os}`.toLowerCase().includes(wanted));
  const assumed = new Set(rig.outlets.filter((one) => one.read_back === "assumed" && one.on !== null).map((one) => one.id));
  const states = shown.map((node) => ({ ...node, shownOperation: operationOf(node, rig.operations), assumed: assumed.has(node.outlet) }));
  reconcile(byId("node-cards"), nodes, states, makeNode);
  setHidden(byId("nodes-filter"), rig.nodes.length <= MANY_NODES);
  byId("node-cards").classList.toggle("few", rig.nodes.length <= FEW_NODES);
  byId("node-cards").classList.toggle("dense", rig.nodes.length > MANY_NODES);
  const up = rig.nodes.filter((node) => node.os === "up").length;
  setText(byId("nodes-count"), `${up} of ${rig.nodes.length} up` + (wanted ? `, ${shown.length} shown` : ""));
}

function showEvent(event) {
  const list = byId("event-list");
  list.prepend(
    h(
      "li",
      { class: event.severity, testid: `event-${event.id}` },
      h("time", { datetime: event.at, title: full(event.at), text: clock(event.at) }),
      h("span", { class: "mark", title: event.severity, "aria-label": event.severity }),
      h("span", { class: "said" }, h("b", { text: event.subject }), " ", event.text),
    ),
  );
  while (list.children.length > MOST_EVENTS) list.lastChild.remove();
}

function showConnection(state, since) {
  const banner = byId("banner");
  const age = duration((Date.now() - since) / 1000);
  document.body.classList.toggle("lost", state !== "live" && rig !== null);
  setHidden(banner, state === "live");
  if (state === "lost") setText(banner, rig ? `Connection lost. What is shown is ${age} old. Trying again…` : "hwctl does not answer. Trying again…");
  if (state === "still") setText(banner, `hwctl answers, but its readings have stood still for ${age}.`);
}

async function showSession() {
  const button = byId("sign-in");
  const who = await whoAmI().catch(() => null);
  if (who === null) return;
  const signedIn = who.by !== null;
  setText(button, signedIn ? "Sign out" : "Sign in");
  button.title = signedIn ? `signed in as ${who.by}` : "";
  button.onclick = async () => {
    if (signedIn) await signOut();
    else if (!(await askForToken())) return;
    // Without the right to read nothing has been shown yet: begin anew.
    if (rig === null) location.reload();
    await showSession();
    stream.reopen();
  };
  setHidden(button, false);
}

whenUnauthorised(async () => {
  const signedIn = await askForToken();
  if (signedIn) showSession();
  return signedIn;
});

byId("nodes-filter").addEventListener("input", showNodes);

about = await get("/api/v1/about").catch(() => about);
if (about.version) setText(byId("version"), `hwctl ${about.version}`);

const stream = follow({
  rig: showRig,
  frame: (frame) => strips.get(frame.strip)?.frame(frame),
  event: showEvent,
  state: showConnection,
});

if (new URLSearchParams(location.search).has("key")) {
  // A key that worked has been redirected away; this one did not.
  history.replaceState(null, "", "/");
  askForToken("This address has been used already. The service has printed a new one.").then(showSession);
}
await showSession();
