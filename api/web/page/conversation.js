// Owns the turns of one conversation: their order, and that the newest stays in view.
//
// The browser stores nothing of it. Each generation notes the one before it in its metadata. So any page that knows
// the id of the last one can show them all, for as long as the server keeps them.

import { Turn } from "./turn.js";
import { questionOf, requestOf } from "./asking.js";

/** @typedef {import("./asking.js").Question} Question */
/** @typedef {import("../outlive.js").Outlive} Outlive */

const MAX_TURNS = 50;
const NEAR_PX = 80;

/** The conversation on the page. */
export class Conversation {
  #client;
  #list;
  #scroller;
  #onChange;
  #say;
  /** @type {Turn[]} oldest first */
  #turns = [];
  #isFollowing = true;
  #shownHeight = 0;

  /**
   * @param {{ client: Outlive, list: HTMLElement, scroller: HTMLElement, onChange: () => void, say: (words: string) => void }} parts
   */
  constructor({ client, list, scroller, onChange, say }) {
    this.#client = client;
    this.#list = list;
    this.#scroller = scroller;
    this.#onChange = onChange;
    this.#say = say;
    scroller.addEventListener("scroll", () => {
      // Only scrolling up stops following the end; growth does not.
      const { scrollTop, clientHeight, scrollHeight } = scroller;
      if (scrollHeight === this.#shownHeight || scrollTop + clientHeight >= scrollHeight - NEAR_PX) {
        this.#isFollowing = scrollTop + clientHeight >= scrollHeight - NEAR_PX;
      }
      onChange();
    }, { passive: true });
    // An observer runs after the layout of the browser, so this forces no second one. It also notices blocks that come
    // into view and are larger than estimated.
    new ResizeObserver(() => this.#keepInView()).observe(list);
  }

  /** @returns {Turn | undefined} the newest */
  get last() {
    return this.#turns.at(-1);
  }

  get isFollowing() {
    return this.#isFollowing;
  }

  follow() {
    this.#isFollowing = true;
    this.#keepInView();
  }

  clear() {
    for (const turn of this.#turns) turn.leave();
    this.#turns = [];
    this.#list.replaceChildren();
    this.#onChange();
  }

  /**
   * Ask a question after everything so far. The page shows it at once, whatever the server does.
   * @param {Omit<Question, "after">} question
   * @returns {Promise<string | null>} the new generation's id
   */
  async ask(question) {
    const turn = this.#add({ ...question, after: this.last?.id ?? null });
    this.follow();
    try {
      const { id } = await this.#client.create(requestOf(turn.question, this.#messagesBefore(turn)));
      if (this.#turns.includes(turn)) void turn.watch(id);
      return id;
    } catch (error) {
      turn.refuse(error);
      return null;
    }
  }

  /**
   * Ask the question of a turn again, and replace the turn. Later turns are removed, because they followed the old answer.
   * @param {Turn} turn
   * @returns {Promise<string | null>}
   */
  async askAgain(turn) {
    const at = this.#turns.indexOf(turn);
    for (const dropped of this.#turns.splice(at)) {
      dropped.leave();
      dropped.element.remove();
    }
    return this.ask(turn.question);
  }

  /**
   * Show the conversation that ends with a generation. The newest comes first, the others above it.
   * @param {string} id
   */
  async open(id) {
    this.clear();
    this.#isFollowing = true;
    /** @type {string | null} */
    let next = id;
    /** @type {Turn | undefined} the turn below the next one */
    let below;
    for (let turns = 0; next && turns < MAX_TURNS; turns += 1) {
      const opened = await this.#openTurn(next, below);
      if (!opened) break;
      next = opened.question.after;
      below = opened;
    }
  }

  /** @param {string} id @param {Turn | undefined} below @returns {Promise<Turn | null>} */
  async #openTurn(id, below) {
    let question = questionOf({}, "");
    /** @type {Record<string, any> | null} */
    let snapshot = null;
    /** @type {unknown} */
    let refused;
    try {
      snapshot = await this.#client.snapshot(id);
      question = questionOf(snapshot.metadata, snapshot.model);
    } catch (error) {
      refused = error;
    }
    // The person may have opened another conversation meanwhile.
    if (below && this.#turns[0] !== below) return null;
    if (!below && this.#turns.length) return null;
    if (!snapshot && below) return null;
    const turn = this.#add(question, below);
    if (snapshot) {
      const { started_at: started, finished_at: finished } = snapshot;
      void turn.watch(id, { startedAt: started && started * 1000, finishedAt: finished && finished * 1000 });
    } else {
      turn.refuse(refused);
    }
    return snapshot && turn;
  }

  /** @param {Question} question @param {Turn} [below] */
  #add(question, below) {
    const turn = new Turn(question, {
      client: this.#client,
      onChange: this.#onChange,
      onAgain: (again) => this.#list.dispatchEvent(new CustomEvent("again", { detail: again })),
      say: this.#say,
    });
    this.#turns.splice(below ? this.#turns.indexOf(below) : this.#turns.length, 0, turn);
    this.#list.insertBefore(turn.element, below?.element ?? null);
    this.#onChange();
    return turn;
  }

  /** @param {Turn} turn @returns {import("./asking.js").Message[]} */
  #messagesBefore(turn) {
    return this.#turns.slice(0, this.#turns.indexOf(turn)).flatMap(({ question, answer }) => {
      const content = answer.text || answer.refusal;
      if (!content) return [];
      return [{ role: "user", content: question.prompt }, { role: "assistant", content }];
    });
  }

  #keepInView() {
    if (this.#isFollowing) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#shownHeight = this.#scroller.scrollHeight;
  }
}
