// Owns showing a JSON value that grows: each op touches only the element that it changes.

import { partsOf } from "../ops.js";
import { appendText, h } from "./dom.js";

/**
 * @typedef {object} Branch one value in the tree
 * @property {HTMLElement} element the element that shows it
 * @property {Map<string, Branch>} children by key or index; empty for a plain value
 */

/** Shows one value in an element. */
export class TreeView {
  #root;
  /** @type {Map<string, Branch>} the whole value, under "" */
  #top = new Map();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  clear() {
    this.#root.replaceChildren();
    this.#top.clear();
  }

  /** @param {import("../ops.js").Op[]} ops */
  apply(ops) {
    for (const { op, path, value } of ops) {
      const parts = partsOf(path);
      const last = /** @type {string} */ (parts.pop());
      let holder = this.#top;
      for (const part of parts) holder = holder.get(part)?.children ?? new Map();
      const branch = holder.get(last);
      if (op === "append" && branch) appendText(branch.element, value);
      else if (branch) this.#replace(branch, value);
      else if (op !== "append") this.#add(holder, parts.length ? this.#holderOf(parts) : this.#root, last, value);
    }
  }

  /** @param {string[]} parts */
  #holderOf(parts) {
    let branch = this.#top.get("");
    for (const part of parts.slice(1)) branch = branch?.children.get(part);
    return branch?.element ?? this.#root;
  }

  /** @param {Branch} branch @param {any} value */
  #replace(branch, value) {
    const { element, children } = shown(value);
    branch.element.replaceWith(element);
    branch.element = element;
    branch.children = children;
  }

  /** @param {Map<string, Branch>} holder @param {HTMLElement} element @param {string} key @param {any} value */
  #add(holder, element, key, value) {
    const branch = shown(value);
    holder.set(key, branch);
    if (element === this.#root) element.append(branch.element);
    else element.append(item(key, branch.element, element.dataset.kind === "array"));
  }
}

/** @param {any} value @returns {Branch} */
function shown(value) {
  /** @type {Map<string, Branch>} */
  const children = new Map();
  if (value === null || typeof value !== "object") {
    const kind = value === null ? "null" : typeof value;
    return { element: h("span", { class: `value ${kind}`, "data-kind": kind }, String(value)), children };
  }
  const isArray = Array.isArray(value);
  const element = h("ul", { class: "branch", "data-kind": isArray ? "array" : "object" });
  for (const [key, child] of Object.entries(value)) {
    const branch = shown(child);
    children.set(key, branch);
    element.append(item(key, branch.element, isArray));
  }
  return { element, children };
}

/** @param {string} key @param {HTMLElement} value @param {boolean} isIndex */
function item(key, value, isIndex) {
  const name = isIndex ? String(Number(key) + 1) : key;
  return h("li", {}, h("span", { class: isIndex ? "key index" : "key" }, name), " ", value);
}
