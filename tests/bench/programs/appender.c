/* appender: events into any number of streams at an even rate, as a worker writes them.
 *
 *   appender append <redis socket> <plan> <events/s each> <seconds> <round ms>
 *   appender xadd   <redis socket> <plan> <events/s each> <seconds> <round ms>
 *   appender post   <port>         <plan> <events/s each> <seconds> <round ms>
 *
 * `append` calls Outlive's own script as `shared/log/eventlog.py` does (the plan: the script's digest
 * and the lease in ms, then a line `<epoch> <its last seq> <meta key> <log key>` for each generation). `xadd` is
 * what tutorials do (the plan: one key a line), `post` one request an event (one path a line).
 * One round of writes is under way at a time and carries all that is due, as the publisher's flush
 * does; `round ms` is the least time between two of them.
 * Each event carries "t", the time at which it was due, so that no delay of ours is hidden, and
 * "n" = 1, 2, 3... in its stream. Prints one JSON object. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

/* As in shared/log/eventlog.py. */
enum { CALL_GENERATIONS = 64, CALL_EVENTS = 256, MOST_STREAMS = 20000 };

typedef struct {
    char epoch[24], first[160], second[160];
    uint64_t written, before;
} stream;

typedef struct {
    char *bytes;
    size_t size, room;
    int words;
} buffer;

static stream all[MOST_STREAMS];
static int streams;
static char digest[64], lease_ms[24];
static buffer out, keys, args;
static double per_s;
static uint64_t began_ns, calls, rounds;

static void fail(const char *what) {
    fprintf(stderr, "appender: %s\n", what);
    exit(1);
}

static void add(buffer *b, const char *bytes, size_t size) {
    if (b->size + size > b->room) b->bytes = realloc(b->bytes, b->room = 2 * (b->size + size));
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

__attribute__((format(printf, 2, 3))) static void addf(buffer *b, const char *format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    add(b, text, (size_t)size);
}

/* One argument of a Redis command. */
static void word(buffer *b, const char *text) {
    addf(b, "$%zu\r\n%s\r\n", strlen(text), text);
    b->words++;
}

static void number(buffer *b, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lu", value);
    word(b, text);
}

/* When event g of all is due: evenly over all streams. */
static uint64_t due_ns(uint64_t g) { return began_ns + (uint64_t)((double)g * 1e9 / (per_s * streams)); }

static const char *event(uint64_t n, int which) {
    static char text[256];
    snprintf(text, sizeof text, "{\"text\":\" token\",\"t\":%lu,\"n\":%lu}", due_ns((n - 1) * (uint64_t)streams + (uint64_t)which), n);
    return text;
}

static void end_call(void) {
    if (!keys.words) return;
    addf(&out, "*%d\r\n", 3 + keys.words + args.words + 2);
    word(&out, "EVALSHA"), word(&out, digest), number(&out, (uint64_t)keys.words);
    add(&out, keys.bytes, keys.size);
    word(&out, lease_ms), word(&out, "");
    add(&out, args.bytes, args.size);
    keys.size = args.size = 0, keys.words = args.words = 0;
    calls++;
}

/* The events `from`..`to` of one stream; returns how many answers they will get. */
static int put_append(int which, uint64_t from, uint64_t to) {
    stream *s = &all[which];
    word(&keys, s->first), word(&keys, s->second);
    word(&args, s->epoch), number(&args, s->before + from), number(&args, to), number(&args, to), number(&args, to - from + 1);
    for (uint64_t n = from; n <= to; n++) word(&args, "token"), word(&args, event(n, which));
    if (keys.words >= 2 * CALL_GENERATIONS || args.words >= 2 * CALL_EVENTS) end_call();
    return 1;
}

static int put_xadd(int which, uint64_t from, uint64_t to) {
    for (uint64_t n = from; n <= to; n++) {
        addf(&out, "*5\r\n");
        word(&out, "XADD"), word(&out, all[which].first), word(&out, "*"), word(&out, "d"), word(&out, event(n, which));
    }
    return (int)(to - from + 1);
}

static int put_post(int which, uint64_t from, uint64_t to) {
    for (uint64_t n = from; n <= to; n++) {
        const char *body = event(n, which);
        addf(&out, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n%s", all[which].first, strlen(body), body);
    }
    return (int)(to - from + 1);
}

static int is_refusal(const char *answer) {
    static const char *const refusals[] = {"-", "FENCED", "BEHIND", "CLOSED", "GONE", "GAP", "DUP", "HTTP/1.1 4", "HTTP/1.1 5"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (!strncmp(answer, refusals[i], strlen(refusals[i]))) return 1;
    return 0;
}

/* Reads until `wanted` lines began with `mark`. */
static void take_answers(int fd, int wanted, const char *mark) {
    static char text[1 << 16];
    static size_t kept;
    while (wanted > 0) {
        ssize_t got = read(fd, text + kept, sizeof text - kept - 1);
        if (got <= 0) fail("the server hung up");
        kept += (size_t)got, text[kept] = 0;
        char *from = text, *end;
        for (; (end = strchr(from, '\n')); from = end + 1) {
            *end = 0;
            /* A body need not end its last line before the next answer begins. */
            char *status = strstr(from, "HTTP/1.1 ");
            if (status) from = status;
            if (!strncmp(from, mark, strlen(mark))) wanted--;
            else if (is_refusal(from)) fail(from);
        }
        kept = strlen(from);
        memmove(text, from, kept);
    }
}

static int connect_to(const char *place) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(place))};
    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(local.sun_path, sizeof local.sun_path, "%s", place);
    int is_path = *place == '/', fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    struct sockaddr *address = is_path ? (struct sockaddr *)&local : (struct sockaddr *)&port;
    if (connect(fd, address, is_path ? sizeof local : sizeof port) < 0) fail("cannot connect");
    return fd;
}

static void read_plan(const char *name, int append) {
    FILE *file = fopen(name, "r");
    if (!file) fail("no plan");
    if (append && fscanf(file, "%63s %23s", digest, lease_ms) != 2) fail("no digest in the plan");
    stream *s = all;
    while (s < all + MOST_STREAMS) {
        int found = append ? fscanf(file, "%23s %lu %159s %159s", s->epoch, &s->before, s->first, s->second) : fscanf(file, "%159s", s->first);
        if (found < (append ? 4 : 1)) break;
        s++;
    }
    streams = (int)(s - all);
    fclose(file);
}

int main(int count, char **argument) {
    if (count != 7) return fprintf(stderr, "usage: see the head of appender.c\n"), 2;
    const char *how = argument[1];
    int append = !strcmp(how, "append"), post = !strcmp(how, "post"), fd = connect_to(argument[2]);
    int (*put)(int, uint64_t, uint64_t) = append ? put_append : post ? put_post : put_xadd;
    const char *mark = append ? "OK" : post ? "HTTP/1.1 20" : "$";
    per_s = atof(argument[4]);
    double seconds = atof(argument[5]), round_ms = atof(argument[6]), late_ms = 0;
    read_plan(argument[3], append);
    began_ns = now_ns();
    uint64_t each = (uint64_t)(per_s * seconds + 0.5), total = each * (uint64_t)streams, sent = 0;
    while (sent < total) {
        uint64_t now = now_ns(), due = now < due_ns(sent) ? sent : (uint64_t)((double)(now - began_ns) / 1e9 * per_s * streams) + 1;
        if (due > total) due = total;
        if (due <= sent) {
            usleep((useconds_t)((due_ns(sent) - now) / 1000 + 1));
            continue;
        }
        double late = (double)(now - due_ns(sent)) / 1e6;
        if (late > late_ms) late_ms = late;
        int answers = 0;
        for (int i = 0; i < streams && (uint64_t)i < due - sent; i++) {
            int which = (int)((sent + (uint64_t)i) % (uint64_t)streams);
            /* Events g with g % streams == which and g < due belong to this stream. */
            uint64_t to = (due - 1 - (uint64_t)which) / (uint64_t)streams + 1;
            answers += put(which, all[which].written + 1, to);
            all[which].written = to;
        }
        end_call();
        sent = due, rounds++;
        for (size_t done = 0; done < out.size;) {
            ssize_t wrote = write(fd, out.bytes + done, out.size - done);
            if (wrote <= 0) fail("cannot write");
            done += (size_t)wrote;
        }
        out.size = 0;
        take_answers(fd, answers, mark);
        uint64_t until = now + (uint64_t)(round_ms * 1e6);
        if (now_ns() < until) usleep((useconds_t)((until - now_ns()) / 1000 + 1));
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"events\": %lu, \"each\": %lu, \"calls\": %lu, \"rounds\": %lu, \"span_s\": %.3f, \"latest_ms\": %.2f, \"cpu_s\": %.3f}\n", sent, each,
           calls, rounds, (double)(now_ns() - began_ns) / 1e9, late_ms,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
