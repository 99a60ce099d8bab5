// Owns showing Markdown as it streams: existing elements stay, so nothing flickers and a selection is kept.
//
// Text waits in a queue, and each frame draws as much as fits. So the 200 kB of a late viewer take several frames
// instead of freezing one. The text of a model is never HTML, and its links may only use safe addresses.

import * as smd from "../vendor/streaming-markdown.js";
import { appendText, copy, h } from "./dom.js";

/** @typedef {{ nodes: Node[] }} Place the elements that are open, the innermost last */

const SLICE_CHARS = 1_024;
const FRAME_MS = 6;
// The browser lays out new text in the same frame, which costs more than parsing it: 200 kB take 50 frames.
const FRAME_CHARS = 4_096;
// The browser lays out a growing paragraph again each time; the longer it is, the longer that takes. After a frame
// that took longer than `SMOOTH_MS`, drawing rests for as long as that frame took, at most `MAX_REST_MS`.
const SMOOTH_MS = 34;
const MAX_REST_MS = 400;

const HEADINGS = /** @type {const} */ (["h3", "h4", "h5", "h6", "h6", "h6"]);

/** @type {Partial<Record<number, keyof HTMLElementTagNameMap>>} */
const TAGS = {
  [smd.BLOCKQUOTE]: "blockquote",
  [smd.PARAGRAPH]: "p",
  [smd.LINE_BREAK]: "br",
  [smd.RULE]: "hr",
  [smd.ITALIC_AST]: "em",
  [smd.ITALIC_UND]: "em",
  [smd.STRONG_AST]: "strong",
  [smd.STRONG_UND]: "strong",
  [smd.STRIKE]: "s",
  [smd.CODE_INLINE]: "code",
  [smd.RAW_URL]: "a",
  [smd.LINK]: "a",
  // Images are not loaded: the request alone would show a stranger who reads this, and when.
  [smd.IMAGE]: "a",
  [smd.LIST_UNORDERED]: "ul",
  [smd.LIST_ORDERED]: "ol",
  [smd.LIST_ITEM]: "li",
  [smd.EQUATION_BLOCK]: "code",
  [smd.EQUATION_INLINE]: "code",
};

/** One piece of Markdown in an element. */
export class MarkdownView {
  #root;
  #queue = "";
  #frame = 0;
  #drawnAt = 0;
  #restMs = 0;
  #isEnding = false;
  /** @type {smd.Parser | null} null once it gave up: the rest is shown as it came */
  #parser = null;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.clear();
  }

  clear() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#queue = "";
    this.#isEnding = false;
    this.#root.replaceChildren();
    this.#parser = smd.parser(renderer(this.#root));
  }

  /** @param {string} text */
  append(text) {
    this.#queue += text;
    this.#draw();
  }

  /** No more text comes: what may have been the beginning of something is shown as it is. */
  end() {
    this.#isEnding = true;
    this.#draw();
  }

  #draw() {
    this.#frame ||= requestAnimationFrame((now) => this.#drawFrame(now));
  }

  /** @param {number} now */
  #drawFrame(now) {
    this.#frame = 0;
    if (now - this.#drawnAt < this.#restMs) {
      this.#draw();
      return;
    }
    const begun = performance.now();
    let at = 0;
    while (at < Math.min(this.#queue.length, FRAME_CHARS) && performance.now() - begun < FRAME_MS) {
      this.#write(this.#queue.slice(at, at + SLICE_CHARS));
      at += SLICE_CHARS;
    }
    this.#queue = this.#queue.slice(at);
    if (this.#queue) this.#draw();
    else if (this.#isEnding) this.#end();
    this.#drawnAt = now;
    // By the next frame, the layout of this one is done and its cost is known.
    requestAnimationFrame((next) => { this.#restMs = next - now > SMOOTH_MS ? Math.min(next - now, MAX_REST_MS) : 0; });
  }

  /** @param {string} text */
  #write(text) {
    try {
      if (this.#parser) smd.parser_write(this.#parser, text);
      else appendText(this.#root, text);
    } catch {
      // If this parser fails on a text, show the text as it is.
      this.#parser = null;
      this.#root.append(h("pre", {}, text));
    }
  }

  #end() {
    this.#isEnding = false;
    try {
      if (this.#parser) smd.parser_end(this.#parser);
    } catch {
      this.#parser = null;
    }
  }
}

/** @param {HTMLElement} root @returns {smd.Renderer<Place>} */
function renderer(root) {
  return {
    data: { nodes: [root] },
    add_token: (place, token) => {
      if (token === smd.DOCUMENT) return;
      place.nodes.push(opened(/** @type {Node} */ (place.nodes.at(-1)), token));
    },
    end_token: (place) => {
      if (place.nodes.length > 1) place.nodes.pop();
    },
    add_text: (place, text) => appendText(/** @type {Node} */ (place.nodes.at(-1)), text),
    set_attr: (place, attribute, value) => {
      const node = place.nodes.at(-1);
      if (node instanceof HTMLElement) describe(node, attribute, value);
    },
  };
}

/** @param {Node} parent @param {number} token @returns {Node} the new innermost element */
function opened(parent, token) {
  if (token >= smd.HEADING_1 && token <= smd.HEADING_6) {
    return parent.appendChild(h(HEADINGS[token - smd.HEADING_1]));
  }
  switch (token) {
    case smd.CODE_BLOCK:
    case smd.CODE_FENCE:
      return codeBlock(parent);
    case smd.CHECKBOX:
      return parent.appendChild(h("input", { type: "checkbox", disabled: true, "aria-label": "Done" }));
    case smd.TABLE: {
      const table = h("table");
      parent.appendChild(h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" }, table));
      return table;
    }
    case smd.TABLE_ROW:
      return tableRow(/** @type {HTMLTableElement} */ (parent));
    case smd.TABLE_CELL:
      return parent.appendChild(h(parent.parentElement?.tagName === "THEAD" ? "th" : "td"));
    default:
      return parent.appendChild(h(TAGS[token] ?? "span"));
  }
}

/** @param {HTMLTableElement} table */
function tableRow(table) {
  const section = table.tHead ? (table.tBodies[0] ?? table.createTBody()) : table.createTHead();
  return section.appendChild(h("tr"));
}

/** @param {Node} parent */
function codeBlock(parent) {
  const code = h("code");
  const button = h("button", { type: "button", class: "quiet" }, "Copy");
  button.addEventListener("click", () => copy(code.textContent ?? "", button));
  parent.appendChild(
    h("figure", { class: "code" },
      h("figcaption", {}, h("span", { class: "language" }), button),
      h("pre", { tabindex: 0, role: "region", "aria-label": "Code" }, code)),
  );
  return code;
}

/** @param {HTMLElement} node @param {number} attribute @param {string} value */
function describe(node, attribute, value) {
  switch (attribute) {
    case smd.HREF:
    case smd.SRC:
      if (isLink(value)) {
        node.setAttribute("href", value);
        node.setAttribute("target", "_blank");
        node.setAttribute("rel", "noopener noreferrer nofollow");
      }
      break;
    case smd.LANG: {
      const label = node.closest("figure")?.querySelector(".language");
      if (label) label.textContent = value;
      break;
    }
    case smd.START:
      node.setAttribute("start", String(Number.parseInt(value, 10) || 1));
      break;
    case smd.CHECKED:
      node.setAttribute("checked", "");
  }
}

/**
 * Whether a link of a model is safe. Parsed as browsers do, but without a base: a relative address would lead to
 * our own server.
 * @param {string} address
 */
export function isLink(address) {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(address).protocol);
  } catch {
    return false;
  }
}
