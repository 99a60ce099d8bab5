// Owns showing tool calls: their arguments as they grow, and their results.

import { appendText, h } from "./dom.js";
import { TreeView } from "./tree.js";

/** @typedef {import("../outlive.js").ToolCall} ToolCall */
/**
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {HTMLElement} name
 * @property {HTMLElement} state
 * @property {HTMLElement} text the arguments as received
 * @property {HTMLElement} values the arguments as a tree, once it exists
 * @property {TreeView} tree
 * @property {HTMLElement} result
 */

/** All tool calls of one answer. */
export class CallsView {
  #root;
  /** @type {Map<number, Card>} by index */
  #cards = new Map();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  clear() {
    this.#cards.clear();
    this.#root.replaceChildren();
  }

  /** @param {{ index: number, arguments: string }} piece @param {ToolCall} call as it is now */
  grow(piece, call) {
    const card = this.#card(call);
    appendText(card.text, piece.arguments);
    this.#name(card, call);
  }

  /** @param {ToolCall} call whose arguments are complete */
  complete(call) {
    const card = this.#card(call);
    card.text.textContent = call.arguments;
    this.#name(card, call);
    card.state.textContent = "called";
  }

  /** @param {ToolCall} call @param {import("../ops.js").Op[]} ops */
  change(call, ops) {
    const card = this.#card(call);
    card.text.hidden = true;
    card.values.hidden = false;
    card.tree.apply(ops);
  }

  /** @param {ToolCall} call that has a result */
  answer(call) {
    const card = this.#card(call);
    const { content, error, durationMs } = /** @type {NonNullable<ToolCall["result"]>} */ (call.result);
    card.element.classList.toggle("failed", error !== null);
    card.state.textContent = `${error === null ? "done" : "failed"} in ${Math.round(durationMs)} ms`;
    card.result.textContent = error ?? content ?? "";
    card.result.hidden = false;
  }

  /** @param {Card} card @param {ToolCall} call */
  #name(card, call) {
    card.name.textContent = call.name ?? "a tool";
  }

  /** @param {ToolCall} call @returns {Card} */
  #card(call) {
    const known = this.#cards.get(call.index);
    if (known) return known;
    const text = h("pre", { class: "arguments", tabindex: 0, role: "region", "aria-label": "Arguments" });
    const values = h("div", { class: "tree", hidden: true });
    const name = h("strong");
    const state = h("span", { class: "state" }, "calling…");
    const result = h("pre", { class: "result", hidden: true, tabindex: 0, role: "region", "aria-label": "Result" });
    const element = h("details", { class: "call", open: true },
      h("summary", {}, h("span", { class: "tool" }, "Tool"), " ", name, " ", state), text, values, result);
    const card = { element, name, state, text, values, tree: new TreeView(values), result };
    this.#cards.set(call.index, card);
    this.#root.append(element);
    return card;
  }
}
