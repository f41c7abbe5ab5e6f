// What feeds the rig, and how long it lasts.

import { get } from "./api.js";
import { h, setHidden, setRatio, setText } from "./dom.js";
import { duration, number, percent, sentence, UNKNOWN } from "./format.js";
import { Spark } from "./spark.js";

const HISTORY_S = 3600;
const HISTORY_EVERY_MS = 5000;
const KINDS = { "power-bank": "power bank", battery: "battery", mains: "mains" };
const STATUS_CLASS = { charging: "good", full: "good", discharging: "", idle: "", unknown: "warn" };

function figure(label, testid) {
  const value = h("dd", testid ? { testid } : {});
  return { value, root: h("div", {}, h("dt", { text: label }), value) };
}

export class SupplyView {
  #status = h("span", { class: "pill" });
  #charge = h("span", { class: "big" });
  #margin = h("span", { class: "muted" });
  #bar = h("div", { class: "charge-bar", role: "img" }, h("i", { class: "sure" }), h("i", { class: "maybe" }), h("i", { class: "mark" }));
  #left = h("p", { class: "left" });
  #age = h("p", { class: "age small", hidden: true });
  #figures = {};
  #watts = new Spark("Watts", (low, high) => `${number(low, 0)} to ${number(high, 0, "W")}`);
  #charges = new Spark("Charge", (low, high) => `${percent(low)} to ${percent(high)}`);
  #asked = 0;

  constructor(state) {
    this.id = state.id;
    this.#charge.dataset.testid = `supply-${state.id}-charge`;
    this.#status.dataset.testid = `supply-${state.id}-status`;
    this.#left.dataset.testid = `supply-${state.id}-left`;
    const list = h("dl", { class: "figures" });
    for (const [key, label] of [["watts", "Power"], ["volts", "Voltage"], ["amps", "Current"], ["celsius", "Temperature"]]) {
      this.#figures[key] = figure(label, `supply-${state.id}-${key}`);
      list.append(this.#figures[key].root);
    }
    this.root = h(
      "div",
      { class: "panel supply", testid: `supply-${state.id}` },
      h("div", { class: "panel-head" }, h("h2", { text: sentence(state.id) }), h("span", { class: "muted", text: KINDS[state.kind] ?? state.kind }), h("span", { class: "spacer" }), this.#status),
      h("div", { class: "charge" }, h("p", {}, this.#charge, " ", this.#margin), this.#left),
      this.#bar,
      this.#age,
      list,
      h("div", { class: "sparks" }, this.#watts.root, this.#charges.root),
    );
  }

  update(state) {
    const known = state.quality === "ok" || state.quality === "stale";
    this.root.classList.toggle("stale", state.quality === "stale");
    setHidden(this.#age, state.quality === "ok");
    setText(this.#age, known ? `measured ${duration(state.age_s)} ago` : state.quality === "suspect" ? "the gauge reads what cannot be true" : "never measured");
    setText(this.#status, state.status === "unknown" ? "not known" : sentence(state.status) + (state.mains === true && state.status !== "charging" ? ", on mains" : ""));
    this.#status.className = `pill ${STATUS_CLASS[state.status] ?? ""}`;
    setText(this.#charge, percent(state.charge));
    setText(this.#margin, state.charge === null || state.charge_margin === null ? "" : `± ${Math.round(state.charge_margin * 100)}`);
    const margin = state.charge_margin ?? 0;
    setRatio(this.#bar, "--low", state.charge === null ? null : state.charge - margin);
    setRatio(this.#bar, "--high", state.charge === null ? null : state.charge + margin);
    setRatio(this.#bar, "--at", state.charge);
    this.#bar.classList.toggle("unknown", state.charge === null);
    this.#bar.classList.toggle("low", state.charge !== null && state.charge - margin < 0.15);
    this.#bar.setAttribute("aria-label", state.charge === null ? "Charge not known" : `Charge ${percent(state.charge)}, give or take ${Math.round(margin * 100)} points`);
    if (state.runtime_s !== null) {
      setText(this.#left, `${duration(state.runtime_s)} left` + (state.runtime_low_s === null ? "" : `, at least ${duration(state.runtime_low_s)}`));
    } else setText(this.#left, state.status === "discharging" ? "time left not known" : "");
    setText(this.#figures.watts.value, number(state.watts, 1, "W"));
    setText(this.#figures.volts.value, number(state.volts, 2, "V"));
    setText(this.#figures.amps.value, number(state.amps, 2, "A"));
    setText(this.#figures.celsius.value, state.celsius === null ? UNKNOWN : number(state.celsius, 1, "°C"));
    this.#ask();
  }

  async #ask() {
    if (Date.now() - this.#asked < HISTORY_EVERY_MS || document.hidden) return;
    this.#asked = Date.now();
    const ask = async (field) => {
      try {
        return (await get(`/api/v1/history?series=supply/${encodeURIComponent(this.id)}/${field}&step=${HISTORY_S / 120}`)).points;
      } catch {
        return []; // the line says that nothing is known
      }
    };
    const [watts, charges] = await Promise.all([ask("watts"), ask("charge")]);
    this.#watts.update(watts, 0);
    this.#charges.update(charges, 0, 1);
  }
}
