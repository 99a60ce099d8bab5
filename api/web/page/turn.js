// Owns one turn: a question, its answer being watched, and what may be done with it.

import { OutliveError, isTerminal } from "../outlive.js";
import { AnswerView } from "./answerview.js";
import { copy, h } from "./dom.js";
import { connectionWords, endWords, measureWords, restartWords, stateWords } from "./words.js";

/** @typedef {import("../outlive.js").OutliveEvent} OutliveEvent */
/** @typedef {import("../outlive.js").Outlive} Outlive */
/** @typedef {import("./asking.js").Question} Question */
/**
 * @typedef {object} Surroundings
 * @property {Outlive} client
 * @property {() => void} onChange it began, or ended
 * @property {(turn: Turn) => void} onAgain its question is to be asked again
 * @property {(words: string) => void} say aloud, to those who cannot see
 */

const TICK_MS = 500;

/** One question and its answer. */
export class Turn {
  #around;
  #view;
  #leaving = new AbortController();
  #notice = h("p", { class: "notice", hidden: true });
  #road = h("p", { class: "notice road", hidden: true });
  #end = h("p", { class: "ending", hidden: true });
  #state = h("span", { class: "state" }, "Sending…");
  #measures = h("span", { class: "measures" });
  #stop = h("button", { type: "button", class: "quiet stop", disabled: true, onclick: () => void this.stop() }, "Stop");
  #copy = h("button", { type: "button", class: "quiet", hidden: true }, "Copy");
  #again = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.#around.onAgain(this) }, "Retry");
  #article;
  #ticking = 0;
  #tokens = 0;
  #startedAt = Date.now();
  #endedAt = 0;

  /** @param {Question} question @param {Surroundings} around */
  constructor(question, around) {
    this.#around = around;
    this.question = question;
    /** @type {string | null} of the generation, once there is one */
    this.id = null;
    this.isOver = false;
    this.#view = new AnswerView({ isData: question.mode === "data" });
    this.#copy.addEventListener("click", () => copy(this.answer.text || this.answer.refusal, this.#copy));
    // Not a live region: a screen reader would read every token. What matters is said by `say`.
    this.#article = h("article", { class: "answer", "aria-label": "Answer", "aria-busy": "true" },
      this.#notice, ...this.#view.elements, this.#end, this.#road,
      h("footer", {}, this.#state, this.#measures, h("span", { class: "actions" }, this.#stop, this.#copy, this.#again)));
    this.element = h("li", { class: "turn" },
      h("div", { class: "question" }, h("span", { class: "visually-hidden" }, "You asked: "), question.prompt), this.#article);
  }

  get answer() {
    return this.#view.answer;
  }

  /**
   * Watch the generation that answers it.
   * @param {string} id @param {{ startedAt?: number | null, finishedAt?: number | null }} [times] in ms, for what began before
   */
  async watch(id, { startedAt, finishedAt } = {}) {
    this.id = id;
    this.element.dataset.id = id;
    this.#startedAt = startedAt ?? this.#startedAt;
    this.#endedAt = finishedAt ?? 0;
    this.#stop.disabled = false;
    this.#ticking = window.setInterval(() => this.#show(), TICK_MS);
    this.#around.onChange();
    try {
      await this.#around.client.watch(id, {
        signal: this.#leaving.signal,
        onEvent: (event) => this.#take(event),
        onConnection: (connection) => {
          this.#tell(this.#road, this.isOver ? "" : connectionWords(connection));
          this.#article.dataset.connection = connection.state;
        },
      }).done;
    } catch (error) {
      this.refuse(error);
    }
  }

  /** @param {unknown} error why there is no answer, and will be none */
  refuse(error) {
    const isGone = error instanceof OutliveError && error.status === 410;
    const message = error instanceof OutliveError ? error.message : "The server cannot be reached.";
    this.#finish(isGone ? "This answer is no longer kept." : message, "failed");
  }

  async stop() {
    if (!this.id || this.isOver) return;
    this.#stop.disabled = true;
    this.#state.textContent = "Stopping…";
    try {
      await this.#around.client.cancel(this.id);
    } catch {
      this.#stop.disabled = this.isOver;
      this.#tell(this.#road, "It could not be stopped: the server cannot be reached.");
    }
  }

  /** Watch no more; the generation goes on. */
  leave() {
    this.#leaving.abort();
    clearInterval(this.#ticking);
  }

  /** @param {OutliveEvent} event */
  #take(event) {
    const { id, type, data } = event;
    this.#view.apply(event);
    if (type === "attempt") {
      this.#tokens = 0;
      this.#tell(this.#notice, data.attempt > 1 ? restartWords(data.reason) : "");
      if (data.attempt === 1) this.#around.say("Answering.");
    } else if (type === "reset") {
      this.#tokens = 0;
      this.#tell(this.#notice, "The answer was read again from its beginning.");
    } else if (isTerminal(type)) {
      this.#finish(endWords(this.answer), this.answer.status);
      return;
    } else if (id && type !== "queued") {
      // A folded event stands for as many as its range.
      this.#tokens += Number.isInteger(data.from) ? Number(id.split("-")[1]) - data.from + 1 : 1;
    }
    this.#show();
  }

  /** @param {string} words @param {string} status */
  #finish(words, status) {
    this.isOver = true;
    this.#endedAt ||= Date.now();
    clearInterval(this.#ticking);
    this.#article.setAttribute("aria-busy", "false");
    this.#article.dataset.status = status;
    this.#end.textContent = words;
    this.#end.hidden = !words;
    this.#road.hidden = true;
    this.#stop.hidden = true;
    this.#copy.hidden = !(this.answer.text || this.answer.refusal);
    this.#again.hidden = false;
    this.#show();
    this.#around.say(words || `The answer is complete: ${this.answer.text.split(/\s+/).filter(Boolean).length} words.`);
    this.#around.onChange();
  }

  #show() {
    if (!this.isOver && !this.#stop.disabled) this.#state.textContent = stateWords(this.answer);
    if (this.isOver) this.#state.textContent = "";
    if (!this.answer.attempt) return;
    const seconds = Math.max(0, ((this.#endedAt || Date.now()) - this.#startedAt) / 1000);
    this.#measures.textContent = measureWords({ seconds, tokens: this.#tokens, usage: this.answer.usage }).join(" · ");
  }

  /** @param {HTMLElement} where @param {string} words */
  #tell(where, words) {
    if (where.textContent === words && where.hidden === !words) return;
    where.textContent = words;
    where.hidden = !words;
    if (words) this.#around.say(words);
  }
}
