// Follows one generation with our client; prints the events, the answer and what became of the connection.
// In: {url, id, after?, silenceMs?, iterate?, leaveAfter?}

import { readFileSync, writeFileSync } from "node:fs";

import { Answer, Outlive } from "../../api/web/outlive.js";

const { url, id, after, silenceMs, iterate, leaveAfter } = JSON.parse(readFileSync(0, "utf8"));
const client = new Outlive({ baseUrl: url });
const answer = new Answer();
const events = [];
const states = [];
const leaving = new AbortController();
let refused = null;

function take(event) {
  // As it came: a document that grows in the answer must not change the event that began it.
  events.push(structuredClone(event));
  answer.apply(event);
  if (events.length === leaveAfter) leaving.abort();
}

const options = { after, silenceMs, signal: leaving.signal, onConnection: ({ state }) => states.push(state) };
try {
  if (iterate) {
    for await (const event of client.watch(id, options)) take(event);
  } else {
    await client.watch(id, { ...options, onEvent: take }).done;
  }
} catch (error) {
  refused = { name: error.name, status: error.status, code: error.code, message: error.message };
}
writeFileSync(1, JSON.stringify({ events, answer, states, refused }));
