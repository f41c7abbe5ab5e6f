// Numbers and times as people read them. Unknown is always an en dash, never 0.

export const UNKNOWN = "–";
const NARROW = "\u202f";

export function number(value, digits, unit = "") {
  if (value === null || value === undefined) return UNKNOWN;
  const text = value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit ? text + NARROW + unit : text;
}

export const percent = (ratio) => (ratio === null || ratio === undefined ? UNKNOWN : Math.round(ratio * 100) + NARROW + "%");

/** 45 s · 2 min 30 s · 1 h 57 min · 3 d 4 h */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const s = Math.max(0, Math.round(seconds));
  const two = (a, ua, b, ub) => `${a}${NARROW}${ua}` + (b ? ` ${b}${NARROW}${ub}` : "");
  if (s < 60) return `${s}${NARROW}s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s < 600 ? s % 60 : 0, "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

export const clock = (iso) => (iso ? CLOCK.format(new Date(iso)) : UNKNOWN);
export const day = (iso) => (iso ? DAY.format(new Date(iso)) : "");
export const full = (iso) => (iso ? FULL.format(new Date(iso)) : "");

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
