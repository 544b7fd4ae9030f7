// What pages do beyond links and forms. Everything works without it; nothing then updates by itself.
"use strict";

const TICK = 1500;
const SLOW_EVERY = 4;
const $ = (selector) => document.querySelector(selector);

// --- live updates: paused while nobody looks, or while the switch is off ---------------------------------------------

let beats = 0;
const live = $("#live-switch");
if (live) {
  live.checked = sessionStorage.getItem("ratchet-live") !== "off";
  live.addEventListener("change", () => sessionStorage.setItem("ratchet-live", live.checked ? "on" : "off"));
}
setInterval(() => {
  if (document.hidden || (live && !live.checked)) return;
  document.body.dispatchEvent(new Event("tick"));
  if (++beats % SLOW_EVERY === 0) document.body.dispatchEvent(new Event("slow-tick"));
}, TICK);

// --- a page that no longer gets news says so --------------------------------------------------------------------------

const lost = (isLost) => {
  const banner = $("#connection");
  if (banner) banner.hidden = !isLost;
};
document.addEventListener("htmx:error", () => lost(true));
document.addEventListener("htmx:response:error", () => lost(true));
document.addEventListener("htmx:after:request", (event) => {
  const response = event.detail?.ctx?.response;
  if (response && response.status < 400) lost(false);
});
$("#reload")?.addEventListener("click", () => location.reload());

// --- what a person has opened stays open when the part around it is replaced -------------------------------------------

let opened = [];
document.addEventListener("htmx:before:swap", () => {
  opened = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
});
document.addEventListener("htmx:after:swap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  tellTimes();
});

// --- times: how long ago, and the local time on hover --------------------------------------------------------------------

const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" });
const UNITS = [["d", "day", 86400], ["h", "hour", 3600], ["m", "minute", 60], ["s", "second", 1]];

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const seconds = (at - Date.now()) / 1000;
    const [, unit, size] = UNITS.find(([, , length]) => Math.abs(seconds) >= length) ?? UNITS[3];
    time.title = `${at.toISOString().replace("T", " ").slice(0, 19)} UTC\n${at.toLocaleString()}`;
    time.textContent = relative.format(Math.trunc(seconds / size), unit);
  }
}
tellTimes();
setInterval(tellTimes, 10000);

// --- copying ------------------------------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  let copied = true;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const box = document.createElement("textarea");
    box.value = button.dataset.copy;
    document.body.append(box);
    box.select();
    copied = document.execCommand("copy");
    box.remove();
  }
  button.classList.add(copied ? "copied" : "not-copied");
  setTimeout(() => button.classList.remove("copied", "not-copied"), 1200);
});

// --- theme ----------------------------------------------------------------------------------------------------------------

$("#theme-switch")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("ratchet-theme", root.dataset.theme);
});

// --- forms: sent once -------------------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// --- keys -----------------------------------------------------------------------------------------------------------------------

let row = -1;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const rows = [...document.querySelectorAll("tr[data-row]")];
  if (event.key === "j" || event.key === "k") {
    row = Math.max(0, Math.min(rows.length - 1, row + (event.key === "j" ? 1 : -1)));
    rows.forEach((each, index) => each.classList.toggle("chosen", index === row));
    rows[row]?.querySelector("a")?.focus();
    rows[row]?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "/") {
    const filter = $("form.filters input[type=search], form.filters input:not([type=hidden])");
    if (filter) { event.preventDefault(); filter.focus(); }
  } else if (event.key === "g") {
    location.href = "/";
  }
});

// --- a ready-made login: what follows # never leaves the browser until it is posted here ----------------------------------------

const door = $("#sign-in");
if (door && location.hash.startsWith("#token=")) {
  door.elements.token.value = decodeURIComponent(location.hash.slice("#token=".length));
  history.replaceState(null, "", location.pathname + location.search);
  door.requestSubmit();
}
