// Owns making elements. Text is always text: nothing here accepts HTML.

/**
 * An element with attributes and children. An attribute that is false, null or undefined is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | undefined | EventListener>} [attributes] `onclick` and the like are listeners
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

/**
 * An element of the page. It must exist, because the page is ours.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no element ${id}`);
  return element;
}

/**
 * Append text to an element: one text node grows, instead of a new node for each token.
 * @param {Node} element @param {string} text
 */
export function appendText(element, text) {
  const last = element.lastChild;
  if (last instanceof Text && last.length < MAX_NODE_CHARS) last.appendData(text);
  else element.appendChild(document.createTextNode(text));
}

// The cost of growing a text node depends on its length.
const MAX_NODE_CHARS = 4_096;

/**
 * Copy text to the clipboard. Browsers offer it only to pages with TLS.
 * @param {string} text @param {HTMLElement} button shows the result
 */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copying needs HTTPS";
  }
  setTimeout(() => { button.textContent = label; }, 1_500);
}
