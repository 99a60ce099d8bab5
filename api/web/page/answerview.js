// Owns showing one answer: each event changes only the elements that it concerns.

import { Answer, isTerminal } from "../outlive.js";
import { CallsView } from "./calls.js";
import { appendText, h } from "./dom.js";
import { MarkdownView } from "./markdown.js";
import { TreeView } from "./tree.js";

/** @typedef {import("../outlive.js").OutliveEvent} OutliveEvent */

/** The answer of one generation as it grows. */
export class AnswerView {
  #isData;
  #reasoning = h("div", { class: "thoughts" });
  #thinking = h("details", { class: "reasoning", hidden: true }, h("summary", {}, "Reasoning"), this.#reasoning);
  #callsRoot = h("div", { class: "calls" });
  #treeRoot = h("div", { class: "tree", hidden: true });
  #rawRoot = h("pre", { class: "raw", hidden: true, tabindex: 0, role: "region", "aria-label": "Unfinished result" });
  #textRoot = h("div", { class: "markdown" });
  #calls = new CallsView(this.#callsRoot);
  #tree = new TreeView(this.#treeRoot);
  #text = new MarkdownView(this.#textRoot);

  /** @param {{ isData: boolean }} options `isData`: the text is JSON, not prose */
  constructor({ isData }) {
    this.#isData = isData;
    this.answer = new Answer();
    this.elements = [this.#thinking, this.#callsRoot, this.#treeRoot, this.#rawRoot, this.#textRoot];
  }

  /** @param {OutliveEvent} event */
  apply(event) {
    const { type, data } = event;
    const before = this.answer.cursor;
    this.answer.apply(event);
    if (type === "attempt" || type === "reset") this.#clear();
    else if (isTerminal(type)) this.#end(data.cut && data.cut !== before);
    else this.#grow(type, data);
  }

  #clear() {
    this.#reasoning.replaceChildren();
    this.#thinking.hidden = true;
    this.#calls.clear();
    this.#tree.clear();
    this.#treeRoot.hidden = true;
    this.#rawRoot.replaceChildren();
    this.#rawRoot.hidden = true;
    this.#text.clear();
    this.#textRoot.hidden = false;
  }

  /** @param {string} type @param {any} data */
  #grow(type, data) {
    switch (type) {
      case "token":
      case "refusal":
        this.#say(data.text);
        break;
      case "reasoning":
        this.#thinking.hidden = false;
        appendText(this.#reasoning, data.text);
        break;
      case "tool_call":
        this.#calls.grow(data, this.#call(data.index));
        break;
      case "tool_call_done":
        this.#calls.complete(this.#call(data.index));
        break;
      case "tool_result": {
        const call = this.answer.toolCalls.find((one) => one.id === data.id);
        if (call?.result) this.#calls.answer(call);
        break;
      }
      case "json":
        this.#change(data);
    }
    if (type !== "json" && Array.isArray(data.json)) for (const one of data.json) this.#change(one);
  }

  /** @param {string} text */
  #say(text) {
    if (!this.#isData) {
      this.#text.append(text);
    } else if (this.#treeRoot.hidden) {
      this.#rawRoot.hidden = false;
      appendText(this.#rawRoot, text);
    }
  }

  /** @param {number} index */
  #call(index) {
    return /** @type {import("../outlive.js").ToolCall} */ (this.answer.toolCalls.find((call) => call.index === index));
  }

  /** @param {{ target: string, ops: import("../ops.js").Op[] }} change */
  #change({ target, ops }) {
    if (target === "output") {
      this.#showTree();
      this.#tree.apply(ops);
      return;
    }
    const call = this.answer.toolCalls.find((one) => one.id === target);
    if (call) this.#calls.change(call, ops);
  }

  #showTree() {
    this.#isData = true;
    this.#treeRoot.hidden = false;
    this.#rawRoot.hidden = true;
    this.#textRoot.hidden = true;
  }

  /** @param {boolean} isCut fewer events count than were shown */
  #end(isCut) {
    if (isCut) this.#showAgain();
    if (this.#isData && this.#treeRoot.hidden && this.answer.text) {
      try {
        const value = JSON.parse(this.answer.text);
        this.#showTree();
        this.#tree.apply([{ op: "set", path: "", value }]);
      } catch {
        // It is not complete JSON, so the text stays as it is.
      }
    }
    this.#text.end();
  }

  #showAgain() {
    this.#clear();
    const { text, refusal, reasoning, toolCalls, json } = this.answer;
    if (reasoning) this.#grow("reasoning", { text: reasoning });
    if (text || refusal) this.#say(text || refusal);
    for (const call of toolCalls) {
      this.#calls.complete(call);
      if (call.result) this.#calls.answer(call);
    }
    for (const [target, value] of Object.entries(json)) this.#change({ target, ops: [{ op: "set", path: "", value }] });
  }
}
