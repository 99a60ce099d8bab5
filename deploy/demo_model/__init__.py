"""The demo model: a small OpenAI-compatible HTTP server with nothing behind it.

    outlive demo-model --host 127.0.0.1 --port 9100

With it `outlive up` works on a machine without an API key. It is also the only test double here, because
the provider is the only part of the system that we do not own. It knows nothing of Outlive.

    POST /v1/chat/completions      stream true and false
    GET  /v1/models, /healthz
    GET  /control/requests         the last 1000 requests, and how each of them ended
    POST /control/gates/NAME/open  opens gate NAME for good; streams pass it

**Options are part of the model's name**, because every OpenAI client and proxy passes the name on
unchanged: `demo`, or `demo;tokens=500;pace_s=0;seed=7`. The same request always gets the same answer.

    pace_s=0.02     seconds between two deltas; 0 is as fast as the socket accepts them
    first_s=0       seconds before the first delta
    tokens=N        exactly N content deltas (default: as many as the answer has)
    chars=N         exactly N characters in each text delta (default: pieces like words)
    reasoning=N     N deltas of `reasoning_content` come first
    refusal=N       N deltas of `refusal` instead of content
    tools=K         if the request has tools, K parallel calls; content only if `tokens` is given.
                    When it gets their results, it answers in text and repeats them
    turns=N         N turns with tool calls (default 1) before it answers
    calls_as=HOW    how calls are streamed: `apart`, one after the other (default); `mixed`, one piece
                    of each by turns; `named`, as mixed, with id and name on every piece; `numbered`,
                    as mixed, without any id; `bare`, apart, without index; `zero`, apart, all of
                    them with index 0
    finish=REASON   stop, length, tool_calls or content_filter, instead of the true reason; none: the
                    stream ends without one, as if the provider had been cut off
    usage=0         no usage, even if the request asks for it
    echo=1          the answer is exactly the prompt
    seed=N          another answer to the same prompt
    gate=NAME       send nothing until gate NAME is opened...
    gate_after=K    ...after K deltas, without reasoning (0: before the first; if there are fewer
                    than K: after the last and before the finish)

Faults are options too, for streams only:

    fault=NAME      instead of a stream: 400, 401, 404, 408, 409, 429, 500, 503; endless_500 (its body);
                    html, json_error and whole (200, but not a stream); gzip (a bomb).
                    In the stream: stall, comments (and nothing else), reset and half_close (in the
                    middle of an HTTP chunk), bad_framing, cut (a clean end), half_line, error (an
                    error event), bad_json, bad_utf8, not_a_chunk, empty_choices, endless_line,
                    large_event (2 MiB).
                    At its end: no_done (no `[DONE]`), silent_end (the same, and the socket stays)
    after=K         the fault comes after K deltas, counted as for `gate_after`
    times=N         only for the first N requests with exactly this name
    retry_after_s=S, retry_after_date_s=S
                    for faults that are a status: the header Retry-After, as seconds or as a date

`response_format` (`json_object`, `json_schema`), `tool_choice` and `max_tokens` work as at OpenAI.
`n` above 1 is refused.

`process` listens, `http_app` routes, `model_options` parses a request, `script` decides what comes when,
`prose` and `schema_values` make the contents up, `openai_shapes` knows the shapes, `player` waits and
writes, `faults` breaks a stream, `control` holds gates and the record of requests.
"""
