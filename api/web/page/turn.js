// Owns one turn of the conversation: a question, its answer as it grows, and the buttons for it.

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
 * @property {() => void} onChange called when it begins or ends
 * @property {(turn: Turn) => void} onAgain called to ask its question again
 * @property {(words: string) => void} say announces words to screen readers
 */

const TICK_MS = 500;

/** One question and its answer. */
export class Turn {
  #around;
  #view;
  #leaving = new AbortController();
  #notice = h("p", { class: "notice", hidden: true });
  #connectionNotice = h("p", { class: "notice connection", hidden: true });
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
    /** @type {string | null} the id of the generation, once it exists */
    this.id = null;
    this.isOver = false;
    this.#view = new AnswerView({ isData: question.mode === "data" });
    this.#copy.addEventListener("click", () => copy(this.answer.text || this.answer.refusal, this.#copy));
    // Not a live region, because a screen reader would read every token. `say` announces what matters.
    this.#article = h("article", { class: "answer", "aria-label": "Answer", "aria-busy": "true" },
      this.#notice, ...this.#view.elements, this.#end, this.#connectionNotice,
      h("footer", {}, this.#state, this.#measures, h("span", { class: "actions" }, this.#stop, this.#copy, this.#again)));
    this.element = h("li", { class: "turn" },
      h("div", { class: "question" }, h("span", { class: "visually-hidden" }, "You asked: "), question.prompt), this.#article);
  }

  get answer() {
    return this.#view.answer;
  }

  /**
   * Watch the generation that answers the question.
   * @param {string} id @param {{ startedAt?: number | null, finishedAt?: number | null }} [times] in ms, for a generation that began before
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
          this.#tell(this.#connectionNotice, this.isOver ? "" : connectionWords(connection));
          this.#article.dataset.connection = connection.state;
        },
      }).done;
    } catch (error) {
      this.refuse(error);
    }
  }

  /** @param {unknown} error why the question gets no answer */
  refuse(error) {
    const isGone = error instanceof OutliveError && error.status === 410;
    const message = error instanceof OutliveError ? error.message : "The server cannot be reached. Check the connection and try again.";
    this.#finish(isGone ? "This answer was deleted, or its retention has ended." : message, "failed");
  }

  async stop() {
    if (!this.id || this.isOver) return;
    this.#stop.disabled = true;
    this.#state.textContent = "Stopping…";
    try {
      await this.#around.client.cancel(this.id);
    } catch {
      this.#stop.disabled = this.isOver;
      this.#tell(this.#connectionNotice, "The answer was not stopped, because the server cannot be reached. Try again.");
    }
  }

  /** Stop watching; the generation goes on. */
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
      this.#tell(this.#notice, "The page lost its position, so the answer was read again from the beginning.");
    } else if (isTerminal(type)) {
      this.#finish(endWords(this.answer), this.answer.status);
      return;
    } else if (id && type !== "queued") {
      // A folded event counts as many events as its range has.
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
    this.#connectionNotice.hidden = true;
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
