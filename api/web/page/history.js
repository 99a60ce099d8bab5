// Owns the list of conversations beside the page: those that the server still keeps, newest first.

import { questionOf } from "./asking.js";
import { h } from "./dom.js";
import { agoWords } from "./words.js";

/** @typedef {import("../outlive.js").Outlive} Outlive */
/** @typedef {import("../outlive.js").Listed} Listed */

const PAGE = 30;

/** Conversations, each shown by its newest generation. */
export class History {
  #client;
  #list;
  #more;
  #onOpen;
  /** @type {Listed[]} */
  #generations = [];
  /** @type {string | null} */
  #next = null;
  /** @type {string | null} */
  #current = null;

  /** @param {{ client: Outlive, list: HTMLElement, more: HTMLButtonElement, onOpen: (id: string) => void }} parts */
  constructor({ client, list, more, onOpen }) {
    this.#client = client;
    this.#list = list;
    this.#more = more;
    this.#onOpen = onOpen;
    more.addEventListener("click", () => void this.#load(this.#next ?? undefined));
  }

  /** @param {string | null} current the one that is shown */
  async refresh(current) {
    this.#current = current;
    await this.#load();
  }

  /** @param {string} [before] */
  async #load(before) {
    try {
      const { generations, next } = await this.#client.list({ limit: PAGE, before });
      this.#generations = before ? [...this.#generations, ...generations] : generations;
      this.#next = next;
      this.#show();
    } catch {
      // The list is not essential; the rest of the page works without it.
    }
  }

  #show() {
    const continued = new Set(this.#generations.map(({ metadata }) => questionOf(metadata, "").after));
    const ends = this.#generations.filter(({ id }) => !continued.has(id) || id === this.#current);
    this.#list.replaceChildren(...ends.map((listed) => this.#item(listed)));
    this.#more.hidden = this.#next === null;
  }

  /** @param {Listed} listed */
  #item({ id, status, model, metadata, created_at: createdAt }) {
    const { prompt } = questionOf(metadata, model);
    const isCurrent = id === this.#current;
    return h("li", {}, h("a", {
      href: `/?g=${id}`,
      "aria-current": isCurrent ? "page" : null,
      onclick: (event) => {
        if (event instanceof MouseEvent && (event.metaKey || event.ctrlKey || event.shiftKey)) return;
        event.preventDefault();
        this.#onOpen(id);
      },
    }, h("span", { class: `dot ${status}`, role: "img", "aria-label": status }), h("span", { class: "title" }, prompt),
    h("span", { class: "ago" }, agoWords(createdAt))));
  }
}
