// Owns the page as a whole: the address says what is shown. The browser stores only the name of the model and, for
// this tab, the credential.

import { Outlive } from "../outlive.js";
import { Conversation } from "./conversation.js";
import { copy, part } from "./dom.js";
import { History } from "./history.js";
import { viewerWords } from "./words.js";

/** @typedef {import("./asking.js").Mode} Mode */

const VIEWERS_MS = 4_000;
const MODEL = "outlive.model";
const SECRET = "outlive.credential";

const secret = credential();
const client = new Outlive({ headers: secret ? { Authorization: `Bearer ${secret}` } : {} });
const form = part("ask", HTMLFormElement);
const prompt = part("prompt", HTMLTextAreaElement);
const model = part("model", HTMLInputElement);
const send = part("send", HTMLButtonElement);
const stop = part("stop", HTMLButtonElement);
const latest = part("latest", HTMLButtonElement);
const list = part("turns", HTMLOListElement);
const share = part("share", HTMLButtonElement);
const sharing = part("sharing", HTMLDialogElement);
const link = part("link", HTMLInputElement);
const viewers = part("viewers", HTMLElement);
const sidebar = part("history", HTMLElement);
const menu = part("menu", HTMLButtonElement);
const announcement = part("announcement", HTMLElement);

const conversation = new Conversation({
  client,
  list,
  scroller: part("scroll", HTMLElement),
  onChange: show,
  say: (words) => { announcement.textContent = words; },
});
const past = new History({
  client,
  list: part("conversations", HTMLOListElement),
  more: part("more", HTMLButtonElement),
  onOpen: (id) => go(id),
});

let shownOver = true;

function show() {
  const { last, isFollowing } = conversation;
  const isLive = Boolean(last && !last.isOver);
  part("welcome", HTMLElement).hidden = Boolean(last);
  document.body.classList.toggle("live", isLive);
  send.hidden = isLive;
  stop.hidden = !isLive;
  stop.disabled = !last?.id;
  share.hidden = !last?.id;
  latest.hidden = isFollowing || !last;
  if (!isLive) viewers.hidden = true;
  if (isLive === shownOver) void past.refresh(addressed());
  shownOver = !isLive;
}

/** @param {string | null} id the generation to show from now on; it goes into the address */
function go(id) {
  history.pushState(null, "", id ? `/?g=${encodeURIComponent(id)}` : "/");
  attach();
}

/**
 * An API key (`/#key=...`) or a token for one generation (`/?g=...#token=...`). It is after the `#`, which browsers
 * send to no server. It is stored for this tab and removed from the address.
 */
function credential() {
  const given = new URLSearchParams(location.hash.slice(1));
  const value = given.get("token") ?? given.get("key");
  if (value) {
    sessionStorage.setItem(SECRET, value);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(SECRET);
}

/** @param {string} id @returns {Promise<string>} an address that shows it to everybody who has the link */
async function linkTo(id) {
  const link = `${location.origin}/?g=${encodeURIComponent(id)}`;
  if (!secret) return link;
  // A viewer with a token can pass on only that token.
  return `${link}#token=${secret.startsWith("olg_") ? secret : (await client.share(id)).token}`;
}

/** The generation that the address names. */
function addressed() {
  return new URLSearchParams(location.search).get("g");
}

function attach() {
  const id = addressed();
  close();
  if (id && id === conversation.last?.id) return;
  if (id) void conversation.open(id);
  else conversation.clear();
  void past.refresh(id);
  void countViewers();
}

/** @param {string | null} id of the newest generation, which a reload must show */
function remember(id) {
  if (!id) return;
  history.pushState(null, "", `/?g=${encodeURIComponent(id)}`);
  void past.refresh(id);
  void countViewers();
}

async function countViewers() {
  const { last } = conversation;
  if (!last?.id || last.isOver || document.visibilityState !== "visible") return;
  try {
    const count = await client.viewers(last.id);
    viewers.textContent = viewerWords(Math.max(1, count));
    viewers.hidden = last.isOver;
  } catch {
    // While the server is away, the page shows no count.
    viewers.hidden = true;
  }
}

/** @returns {Mode} */
function mode() {
  return /** @type {Mode} */ (new FormData(form).get("mode") ?? "text");
}

function fit() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

function close() {
  sidebar.classList.remove("open");
  menu.setAttribute("aria-expanded", "false");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = prompt.value.trim();
  if (!text || (conversation.last && !conversation.last.isOver)) return;
  prompt.value = "";
  fit();
  remember(await conversation.ask({ prompt: text, model: model.value.trim() || "demo", mode: mode() }));
});
list.addEventListener("again", async (event) => {
  remember(await conversation.askAgain(/** @type {CustomEvent} */ (event).detail));
});
stop.addEventListener("click", () => void conversation.last?.stop());
latest.addEventListener("click", () => {
  conversation.follow();
  show();
});
prompt.addEventListener("input", fit);
// Enter sends, as people expect; Shift+Enter makes a new line.
prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && sidebar.classList.contains("open")) {
    close();
    menu.focus();
  }
});
for (const suggestion of document.querySelectorAll("[data-prompt]")) {
  suggestion.addEventListener("click", () => {
    const { prompt: words = "", mode: chosen = "text" } = /** @type {HTMLElement} */ (suggestion).dataset;
    prompt.value = words;
    part(`mode-${chosen}`, HTMLInputElement).checked = true;
    form.requestSubmit();
  });
}
for (const id of ["new", "new-too"]) {
  part(id, HTMLButtonElement).addEventListener("click", () => {
    go(null);
    prompt.focus();
  });
}
menu.addEventListener("click", () => {
  menu.setAttribute("aria-expanded", String(sidebar.classList.toggle("open")));
});
part("veil", HTMLElement).addEventListener("click", close);
share.addEventListener("click", async () => {
  link.value = await linkTo(conversation.last?.id ?? "").catch(() => location.href);
  sharing.showModal();
  link.select();
});
part("copy-link", HTMLButtonElement).addEventListener("click", (event) => {
  void copy(link.value, /** @type {HTMLButtonElement} */ (event.currentTarget));
});
model.addEventListener("change", () => localStorage.setItem(MODEL, model.value));
model.value = localStorage.getItem(MODEL) || "demo";
addEventListener("popstate", attach);
document.addEventListener("visibilitychange", () => void countViewers());
setInterval(() => void countViewers(), VIEWERS_MS);

attach();
