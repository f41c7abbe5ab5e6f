// A strip as it is lit: round LEDs in their real order, wrapped into rows where it is long.

import { h, setHidden, setText } from "./dom.js";
import { number, sentence } from "./format.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const LEAST_PITCH = 11;
const MOST_PITCH = 30;

/** Brightness as seen: the eye's answer to light is about its 0.45th power (untuned). Never quite dark. */
const seen = (brightness) => 0.45 + 0.55 * Math.pow(brightness, 0.45);

function decode(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

export class StripView {
  #canvas = h("canvas", { class: "leds", role: "img" });
  #facts = h("span", { class: "muted" });
  #limited = h("span", { class: "pill warn", text: "dimmed by the power limit", hidden: true });
  #mode = h("select", { "aria-label": "What the strip shows" });
  #level = h("input", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": "Brightness" });
  #shown = null;
  #wanted = null;
  #brightness = 1;
  #request = 0;
  #drawn = 0;
  #leds = 0;

  constructor(state, modes, change) {
    this.id = state.id;
    this.#canvas.dataset.testid = `strip-${state.id}`;
    this.#mode.dataset.testid = `strip-${state.id}-mode`;
    this.#level.dataset.testid = `strip-${state.id}-brightness`;
    this.#mode.append(...modes.map((mode) => h("option", { value: mode, text: sentence(mode) })));
    this.#mode.addEventListener("change", () => change(state.id, { mode: this.#mode.value }));
    this.#level.addEventListener("change", () => change(state.id, { brightness: Number(this.#level.value) }));
    this.root = h(
      "div",
      { class: "strip" },
      this.#canvas,
      h(
        "div",
        { class: "strip-foot" },
        h("strong", { text: state.id }),
        this.#facts,
        this.#limited,
        h("span", { class: "spacer" }),
        h("label", { class: "inline" }, h("span", { text: "Shows" }), this.#mode),
        h("label", { class: "inline" }, h("span", { text: "Brightness" }), this.#level),
      ),
    );
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  update(state) {
    this.#leds = state.leds;
    const facts = [`${state.leds} LEDs`, number(state.watts, 1, "W")];
    if (state.fps !== null) facts.push(number(state.fps, 0, "fps"));
    setText(this.#facts, facts.join(" · "));
    setHidden(this.#limited, !state.limited);
    if (document.activeElement !== this.#mode) this.#mode.value = state.mode;
    if (!this.#level.matches(":active")) this.#level.value = state.brightness;
    if (this.#wanted === null) this.#draw();
  }

  frame(frame) {
    this.#wanted = decode(frame.rgb);
    this.#brightness = frame.brightness;
    if (this.#shown === null || this.#shown.length !== this.#wanted.length) this.#shown = Float32Array.from(this.#wanted);
    if (!this.#request) this.#request = requestAnimationFrame((now) => this.#step(now));
  }

  /** Frames come 20 times a second; in between the light glides. */
  #step(now) {
    this.#request = 0;
    if (STILL.matches) {
      if (now - this.#drawn < 1000) {
        this.#request = requestAnimationFrame((later) => this.#step(later));
        return;
      }
      this.#shown.set(this.#wanted);
    }
    this.#drawn = now;
    let moving = false;
    for (let i = 0; i < this.#shown.length; i += 1) {
      const gap = this.#wanted[i] - this.#shown[i];
      if (Math.abs(gap) > 1.5) moving = true;
      this.#shown[i] += Math.abs(gap) > 1.5 ? gap * 0.4 : gap;
    }
    this.#draw();
    if (moving) this.#request = requestAnimationFrame((later) => this.#step(later));
  }

  #draw() {
    const width = this.#canvas.clientWidth;
    const count = this.#shown ? this.#shown.length / 3 : this.#leds;
    if (!width || !count) return;
    const rows = Math.ceil((count * LEAST_PITCH) / (width - 24));
    const perRow = Math.ceil(count / rows);
    const pitch = Math.min(MOST_PITCH, (width - 24) / perRow);
    const radius = Math.min(pitch * 0.36, 8.5);
    const rowHeight = Math.max(pitch * 1.8, 26);
    const height = Math.round(rows * rowHeight + 26);
    const density = Math.min(devicePixelRatio || 1, 2);
    if (this.#canvas.width !== Math.round(width * density) || this.#canvas.height !== Math.round(height * density)) {
      this.#canvas.style.height = `${height}px`;
      this.#canvas.width = Math.round(width * density);
      this.#canvas.height = Math.round(height * density);
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    const gain = seen(this.#brightness);
    let lit = 0;
    for (const glow of [true, false]) {
      context.globalCompositeOperation = glow ? "lighter" : "source-over";
      for (let i = 0; i < count; i += 1) {
        const row = Math.floor(i / perRow);
        const inRow = row === rows - 1 ? count - row * perRow : perRow;
        const left = (width - perRow * pitch) / 2;
        const x = left + ((i % perRow) + 0.5) * pitch + (rows === 1 ? ((perRow - inRow) * pitch) / 2 : 0);
        const y = 13 + (row + 0.5) * rowHeight;
        const [r, g, b] = this.#shown ? [0, 1, 2].map((c) => this.#shown[i * 3 + c] * gain) : [0, 0, 0];
        const power = Math.max(r, g, b) / 255;
        if (glow) {
          if (power > 0.01) this.#glow(context, x, y, radius * 3.4, r, g, b);
        } else {
          if (power > 0.01) lit += 1;
          this.#bulb(context, x, y, radius, r, g, b, power);
        }
      }
    }
    const label = this.#shown ? `Strip ${this.id}: ${lit} of ${count} LEDs lit` : `Strip ${this.id}: nothing has been shown yet`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
    this.#canvas.dataset.lit = String(lit);
  }

  #glow(context, x, y, reach, r, g, b) {
    const light = context.createRadialGradient(x, y, 0, x, y, reach);
    const tint = `${r | 0},${g | 0},${b | 0}`;
    light.addColorStop(0, `rgba(${tint},.5)`);
    light.addColorStop(0.35, `rgba(${tint},.17)`);
    light.addColorStop(1, `rgba(${tint},0)`);
    context.fillStyle = light;
    context.fillRect(x - reach, y - reach, reach * 2, reach * 2);
  }

  #bulb(context, x, y, radius, r, g, b, power) {
    context.beginPath();
    context.arc(x, y, radius, 0, Math.PI * 2);
    context.fillStyle = "#171b1f";
    context.fill();
    if (power > 0.01) {
      // A lit LED is whiter in its middle; a dim one is all colour.
      const white = power * 90;
      const body = context.createRadialGradient(x, y, 0, x, y, radius);
      body.addColorStop(0, `rgb(${Math.min(255, r + white)},${Math.min(255, g + white)},${Math.min(255, b + white)})`);
      body.addColorStop(0.65, `rgb(${r},${g},${b})`);
      body.addColorStop(1, `rgba(${r},${g},${b},.75)`);
      context.fillStyle = body;
      context.fill();
    } else {
      context.lineWidth = 1;
      context.strokeStyle = "#2b3138";
      context.stroke();
    }
  }
}
