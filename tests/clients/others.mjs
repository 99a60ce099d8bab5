// Follows one generation with a client that somebody else wrote, as its own manual says; prints the events.
// In: {client, url}

import { readFileSync, writeFileSync } from "node:fs";

import { EventSource } from "eventsource";

const { client, url } = JSON.parse(readFileSync(0, "utf8"));
const TYPES = [
  "queued", "attempt", "token", "reasoning", "refusal", "tool_call", "tool_call_done", "turn", "json", "completed", "failed", "cancelled",
];
const events = [];

function take(id, type, data) {
  events.push({ id, type, data: JSON.parse(data) });
}

function withEventSource() {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    for (const type of TYPES) source.addEventListener(type, ({ lastEventId, data }) => take(lastEventId, type, data));
    source.onerror = () => { if (source.readyState === source.CLOSED) resolve(); };
  });
}

async function withFetchEventSource() {
  // It is made for browsers only.
  globalThis.window = globalThis;
  globalThis.document = new EventTarget();
  const { fetchEventSource } = await import("@microsoft/fetch-event-source/lib/cjs/index.js");
  const over = new AbortController();
  await fetchEventSource(url, {
    openWhenHidden: true,
    signal: over.signal,
    onopen: async ({ status }) => { if (status === 204) over.abort(); },
    onmessage: ({ id, event, data }) => { if (data) take(id, event, data); },
    // A clean end is no end to it unless one says so.
    onclose: () => { throw new Error("again"); },
    onerror: () => {},
  });
}

await (client === "eventsource" ? withEventSource() : withFetchEventSource());
writeFileSync(1, JSON.stringify(events));
process.exit(0);
