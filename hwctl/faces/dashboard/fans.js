// Fans: how fast, why, and by hand for a while.

import { h, reconcile, setAttribute, setRatio, setText, setHidden } from "./dom.js";
import { number, percent, sentence } from "./format.js";

const BY_HAND_S = 600;

class FanView {
  #duty = h("span", { class: "num" });
  #rpm = h("span", { class: "num small" });
  #bar = h("div", { class: "bar" }, h("i"));
  #cause = h("span", { class: "small muted cause" });
  #auto;
  #manual;
  #slider = h("input", { type: "range", min: "0", max: "100", step: "1" });
  #row;
  #value = h("output", { class: "num small" });
  #state = null;

  constructor(state, set) {
    const id = state.id;
    this.#duty.dataset.testid = `fan-${id}-duty`;
    this.#rpm.dataset.testid = `fan-${id}-rpm`;
    this.#slider.dataset.testid = `fan-${id}-slider`;
    this.#slider.setAttribute("aria-label", `Duty of ${id} in percent`);
    this.#auto = h("button", { type: "button", text: "Auto", testid: `fan-${id}-auto`, on: { click: () => set(id, { mode: "auto" }) } });
    this.#manual = h("button", {
      type: "button",
      text: "Manual",
      testid: `fan-${id}-manual`,
      on: { click: () => set(id, this.#order(this.#state?.duty ?? 0.6)) },
    });
    this.#slider.addEventListener("input", () => setText(this.#value, `${this.#slider.value} %`));
    this.#slider.addEventListener("change", () => set(id, this.#order(Number(this.#slider.value) / 100)));
    this.#row = h("div", { class: "fan-manual" }, this.#slider, this.#value, h("span", { class: "small muted", text: "for 10 minutes" }));
    this.root = h(
      "div",
      { class: "fan", testid: `fan-${id}` },
      h(
        "div",
        { class: "fan-head" },
        h("strong", { text: sentence(id) }),
        this.#duty,
        h("span", { class: "spacer" }),
        h("span", { class: "segments", role: "group", "aria-label": `Mode of ${id}` }, this.#auto, this.#manual),
      ),
      this.#bar,
      h("div", { class: "fan-foot" }, this.#cause, this.#rpm),
      this.#row,
    );
  }

  #order(duty) {
    return { mode: "manual", duty: Math.round(duty * 100) / 100, for_s: BY_HAND_S };
  }

  update(state) {
    this.#state = state;
    const ok = state.quality === "ok";
    this.root.classList.toggle("stale", !ok);
    setText(this.#duty, percent(state.duty));
    setText(this.#rpm, number(state.rpm, 0, "rpm"));
    setRatio(this.#bar, "--at", state.duty);
    this.#bar.classList.toggle("unknown", state.duty === null);
    setText(this.#cause, (ok ? "" : state.quality === "stale" ? "not heard of lately; " : "not known; ") + (state.cause || ""));
    setAttribute(this.#auto, "aria-pressed", state.mode === "auto");
    setAttribute(this.#manual, "aria-pressed", state.mode === "manual");
    setHidden(this.#row, state.mode !== "manual");
    if (!this.#slider.matches(":active") && state.duty !== null) {
      this.#slider.value = Math.round(state.duty * 100);
      setText(this.#value, `${Math.round(state.duty * 100)} %`);
    }
  }
}

export class FansView {
  #views = new Map();
  #list = h("div", { class: "fan-list" });
  #none = h("p", { class: "muted", text: "No fan is wired." });

  constructor(root, set) {
    this.set = set;
    root.append(h("div", { class: "panel-head" }, h("h2", { id: "fans-title", text: "Fans" })), this.#list, this.#none);
  }

  update(states) {
    reconcile(this.#list, this.#views, states, (state) => new FanView(state, this.set));
    setHidden(this.#none, states.length > 0);
  }
}
