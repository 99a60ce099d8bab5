// Owns the page: ask, watch, stop. The address `/?g=<id>` is the whole state, so a reload or another
// tab shows the same answer. Resuming after a drop is the browser's: EventSource sends the last id.

const generations = "/v1/generations";
const element = (id) => document.getElementById(id);
const form = element("ask");
const stop = element("stop");

let source = null;
let shown = null;

class Output {
  constructor(node) {
    this.node = node;
    this.clear();
  }

  clear() {
    this.node.textContent = "";
    this.length = 0;
    this.tail = this.node.appendChild(document.createTextNode(""));
  }

  append(text) {
    this.tail.appendData(text);
    this.length += text.length;
  }

  replace(text) {
    this.clear();
    this.append(text);
  }
}

const text = new Output(element("text"));
const reasoning = new Output(element("reasoning"));

function say(words) {
  element("status").textContent = words;
}

function clear() {
  text.clear();
  reasoning.clear();
  element("thinking").hidden = true;
}

function think(words) {
  element("thinking").hidden = false;
  reasoning.append(words);
}

function close() {
  if (source) source.close();
  source = null;
  stop.disabled = true;
}

async function problem(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

// A terminal that somebody else wrote says which event was the last to count. If more than that was
// shown here, the snapshot knows what stands.
async function end(data, lastId, words) {
  const id = shown;
  close();
  say(words);
  if (!data.cut || data.cut === lastId) return;
  const response = await fetch(`${generations}/${id}`);
  if (!response.ok || shown !== id) return;
  const snapshot = await response.json();
  clear();
  text.replace(snapshot.text || snapshot.refusal);
  if (snapshot.reasoning) think(snapshot.reasoning);
}

function watch(id) {
  close();
  clear();
  shown = id;
  stop.disabled = false;
  element("answer").hidden = false;
  element("link").href = `/?g=${encodeURIComponent(id)}`;
  say("Connecting…");

  const mine = new EventSource(`${generations}/${encodeURIComponent(id)}/events`);
  source = mine;
  let lastId = "";
  const on = (type, act) =>
    mine.addEventListener(type, (event) => {
      if (source !== mine) return;
      const before = lastId;
      lastId = event.lastEventId;
      act(JSON.parse(event.data), before);
    });

  on("queued", () => say("Waiting for a worker…"));
  on("attempt", (data) => {
    clear();
    say(data.attempt > 1 ? `Answering, attempt ${data.attempt}…` : "Answering…");
  });
  on("reset", clear);
  on("token", (data) => text.append(data.text));
  on("refusal", (data) => text.append(data.text));
  on("reasoning", (data) => think(data.text));
  on("tool_call", (data) => text.append((data.name ? `\n[tool ${data.name}] ` : "") + data.arguments));
  on("completed", (data, before) =>
    end(data, before, `Completed (${data.finish_reason}), ${data.usage.completion_tokens} tokens.`));
  on("failed", (data, before) => end(data, before, `Failed: ${data.message}`));
  on("cancelled", (data, before) => end(data, before, "Stopped."));

  mine.onopen = () => { if (source === mine && !lastId) say("Connected."); };
  mine.onerror = async () => {
    if (source !== mine) return;
    if (mine.readyState === EventSource.CONNECTING) {
      say("Reconnecting…");
      return;
    }
    close();
    const response = await fetch(`${generations}/${encodeURIComponent(id)}`);
    if (shown === id) say(response.ok ? "The connection was refused; reload to try again." : await problem(response));
  };
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const send = element("send");
  send.disabled = true;
  try {
    const response = await fetch(generations, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        model: element("model").value,
        messages: [{ role: "user", content: element("prompt").value }],
      }),
    });
    if (!response.ok) {
      say(await problem(response));
      return;
    }
    const { id } = await response.json();
    history.pushState(null, "", `/?g=${encodeURIComponent(id)}`);
    watch(id);
  } catch {
    say("The server cannot be reached.");
  } finally {
    send.disabled = false;
  }
});

stop.addEventListener("click", async () => {
  stop.disabled = true;
  try {
    const response = await fetch(`${generations}/${encodeURIComponent(shown)}/cancel`, { method: "POST" });
    if (!response.ok) say(await problem(response));
  } catch {
    stop.disabled = source === null;
    say("The server cannot be reached.");
  }
});

// Enter sends, as people expect of a prompt; Shift+Enter is a new line.
element("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

function attach() {
  const id = new URLSearchParams(location.search).get("g");
  if (id) {
    watch(id);
  } else {
    close();
    shown = null;
    element("answer").hidden = true;
    say("Nothing asked yet.");
  }
}

addEventListener("popstate", attach);
attach();
