// Owns the React hook. React is the page's, not ours.

import { useEffect, useState } from "react";

import { Answer, Outlive } from "./outlive.js";

/** @typedef {import("./outlive.js").Connection} Connection */
/**
 * @typedef {object} Watched
 * @property {Answer} answer grows in place; what holds it is new after every change
 * @property {Connection | null} connection
 * @property {Error | null} refused what ended the watching without a terminal
 */

const sameServer = new Outlive();

/** @returns {Watched} */
function nothing() {
  return { answer: new Answer(), connection: null, refused: null };
}

/**
 * One generation's answer as it is made. Renders at most once a frame, however many events come.
 * @param {string | null | undefined} id nothing is watched without one
 * @param {{ client?: Outlive }} [options] a client that stays the same one between renders
 * @returns {Watched}
 */
export function useGeneration(id, { client = sameServer } = {}) {
  const [watched, setWatched] = useState(nothing);
  useEffect(() => {
    const state = nothing();
    setWatched(state);
    if (!id) return undefined;
    const leaving = new AbortController();
    let due = 0;
    const show = () => {
      due ||= frame(() => {
        due = 0;
        if (!leaving.signal.aborted) setWatched({ ...state });
      });
    };
    client.watch(id, {
      signal: leaving.signal,
      onEvent: (event) => {
        state.answer.apply(event);
        show();
      },
      onConnection: (connection) => {
        state.connection = connection;
        show();
      },
    }).done.catch((error) => {
      state.refused = error;
      show();
    });
    return () => leaving.abort();
  }, [id, client]);
  return watched;
}

/** @param {() => void} act @returns {number} */
function frame(act) {
  // A hidden page has no frames, and a server has none at all; both still want to know the end.
  const later = globalThis.document?.visibilityState === "visible" ? requestAnimationFrame : setTimeout;
  return Number(later(act)) || 1;
}
