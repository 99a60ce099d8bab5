// Owns making elements, and when they are drawn. Text is always text: nothing here takes HTML.

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
 * One element of the page, which is there: the page is ours.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`);
  return element;
}

/**
 * Text at the end of an element: one text node grows, instead of a node a token.
 * @param {Node} element @param {string} text
 */
export function appendText(element, text) {
  const last = element.lastChild;
  if (last instanceof Text && last.length < LONGEST_NODE) last.appendData(text);
  else element.appendChild(document.createTextNode(text));
}

// Growing a text node costs by its length.
const LONGEST_NODE = 4_096;

/**
 * Put text on the clipboard; browsers have none for pages without TLS, and then it is selected instead.
 * @param {string} text @param {HTMLElement} button says what became of it
 */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Cannot copy here";
  }
  setTimeout(() => { button.textContent = label; }, 1_500);
}
