/**
 * The answer of one generation as it grows. Renders at most once a frame, however many events come.
 * @param {string | null | undefined} id without an id nothing is watched
 * @param {{ client?: Outlive }} [options] `client` must be the same object in every render
 * @returns {Watched}
 */
export function useGeneration(id: string | null | undefined, { client }?: {
    client?: Outlive;
}): Watched;
export type Connection = import("./outlive.js").Connection;
export type Watched = {
    /**
     * grows in place; the object that holds it is new after every change
     */
    answer: Answer;
    connection: Connection | null;
    /**
     * the error that ended watching without a terminal
     */
    refused: Error | null;
};
import { Outlive } from "./outlive.js";
import { Answer } from "./outlive.js";
