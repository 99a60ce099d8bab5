"""The demo model: a small OpenAI-compatible HTTP server with nothing behind it.

    python -m outlive.deploy.demo_model --host 127.0.0.1 --port 9100

It lets `make up` answer on a machine without an API key, and it is the one test double here: the
only part of the system we do not own is the provider. It knows nothing of Outlive.

    POST /v1/chat/completions      stream true and false
    GET  /v1/models, /healthz
    GET  /control/requests         what it was asked, and how each request ended (the last 1000)
    POST /control/gates/NAME/open  lets streams past gate NAME, now and from now on

**What it says is asked for in the model's name**, because a name travels unchanged through every
OpenAI client and proxy: `demo`, or `demo;tokens=500;pace_s=0;seed=7`. The same request always
gets the same answer.

    pace_s=0.02     seconds between two deltas; 0 is as fast as the socket takes them
    first_s=0       seconds before the first delta
    tokens=N        exactly N content deltas (default: as many as the answer has)
    chars=N         exactly N characters in each text delta (default: word-like pieces)
    reasoning=N     N deltas of `reasoning_content` come first
    refusal=N       N deltas of `refusal` instead of content
    tools=K         if the request has tools, K parallel calls; content only if `tokens` is given.
                    Shown their results, it answers in text, and says what they were
    turns=N         it calls tools in N turns (1) before it answers
    told=HOW        how calls are told: `apart`, one after the other (default); `mixed`, piece by
                    piece in turn; `named`, as mixed, with id and name on every piece; `numbered`,
                    as mixed, without any id; `bare`, apart, without index; `zero`, apart, all of
                    them with index 0
    finish=REASON   stop, length, tool_calls or content_filter, instead of what is true; none: the
                    stream ends there, as that of a provider cut off in the middle
    usage=0         no usage, even if asked for
    echo=1          the answer is the prompt, to the letter
    seed=N          another answer to the same prompt
    gate=NAME       stop and be silent until gate NAME is opened...
    gate_after=K    ...after K deltas, not counting reasoning (0: before anything at all; if
                    there are fewer than K, after the last and before the finish)

What it does wrong is asked for there as well, in streams only:

    fault=NAME      instead of a stream: 400, 401, 404, 408, 409, 429, 500, 503; endless_500 (its body);
                    html, json_error and whole (200, but no stream); gzip (a bomb).
                    In the stream: stall, comments (and nothing else), reset and half_close (in the
                    middle of an HTTP chunk), bad_framing, cut (a clean end), half_line, error (told
                    in the stream), bad_json, bad_utf8, not_a_chunk, empty_choices, endless_line,
                    large_event (2 MiB).
                    At its end: no_done (no `[DONE]`), silent_end (the same, and the socket stays)
    after=K         in the stream after K deltas, counted as for `gate_after`
    times=N         only the first N times this very name is asked
    retry_after_s=S, retry_after_date_s=S
                    with a status: the header Retry-After, as seconds or as a date

`response_format` (`json_object`, `json_schema`), `tool_choice` and `max_tokens` do what OpenAI
says. `n` above 1 is refused.

`app` routes, `request` understands, `script` decides what is said and when, `wire` knows the
shapes, `player` takes the time and writes, `faults` breaks, `control` remembers.
"""
