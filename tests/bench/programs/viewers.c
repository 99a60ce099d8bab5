/* viewers: any number of SSE viewers in one process, which check and time every event they get.
 *
 *   viewers <port> <viewers> <paths file> <events each> <seconds at most> [stalled] [connects/s]
 *
 * Viewer i asks for line i modulo their number of the paths file. An event is a `data:` line with
 * "t":<CLOCK_MONOTONIC ns when it was made> and "n":<1, 2, 3... in its stream>. The first `stalled`
 * viewers never read. Prints "ready" when all are answered, and one JSON object at the end: when
 * every viewer has its events, on SIGTERM, or when the time is over. One thread and epoll: it must
 * cost far less than the server it measures. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum { READ_BYTES = 1 << 18, MOST_LEFT_BYTES = 1 << 16, MOST_PATHS = 100000 };

typedef struct {
    int fd;
    enum { IDLE, CONNECTING, HEADERS, BODY, GONE } state;
    char *left; /* the beginning of a line or header whose end has not come yet */
    size_t left_bytes;
    long chunk_left;        /* bytes of the current HTTP chunk still to come */
    char size_text[16];     /* the digits of a chunk's size line so far */
    int size_bytes, chunked;
    uint64_t events, last, missing, doubled, done_ns;
} viewer;

static viewer *all;
static char *paths[MOST_PATHS];
static int viewers, path_count, stalled, epoll, answered, failed, left_early, complete, statuses[600];
static long wanted;
static histogram latency;
static uint64_t received_ns, first_ns, last_ns, bytes_read;
static char wire[READ_BYTES], text[MOST_LEFT_BYTES + READ_BYTES];
static volatile sig_atomic_t told_to_stop;

static void stop(int number) { (void)number, told_to_stop = 1; }

static void leave(viewer *v) {
    if (v->state == BODY && v->events < (uint64_t)wanted) left_early++;
    if (v->state < BODY) failed++;
    close(v->fd);
    free(v->left);
    v->left = NULL, v->left_bytes = 0, v->state = GONE;
}

static void take_event(viewer *v, uint64_t made_ns, uint64_t n) {
    if (n <= v->last) {
        v->doubled++;
        return;
    }
    v->missing += n - v->last - 1;
    v->last = n;
    v->events++;
    histogram_add(&latency, received_ns > made_ns ? received_ns - made_ns : 0);
    if (!first_ns) first_ns = received_ns;
    last_ns = received_ns;
    if (v->events == (uint64_t)wanted) v->done_ns = received_ns, complete++;
}

static void take_line(viewer *v, char *line, char *end) {
    if (end - line < 6 || memcmp(line, "data:", 5) != 0) return;
    *end = 0; /* a newline so far */
    char *made = strstr(line, "\"t\":"), *n = made ? strstr(made, "\"n\":") : NULL;
    if (n) take_event(v, strtoull(made + 4, NULL, 10), strtoull(n + 4, NULL, 10));
}

/* Lines of the body; an unfinished one is kept for the next read. */
static void take_text(viewer *v, char *from, char *end) {
    char *newline;
    while (from < end && (newline = memchr(from, '\n', (size_t)(end - from)))) {
        take_line(v, from, newline);
        from = newline + 1;
    }
    v->left_bytes = (size_t)(end - from);
    if (v->left_bytes > MOST_LEFT_BYTES) {
        fprintf(stderr, "a line of more than %d bytes\n", MOST_LEFT_BYTES);
        exit(1);
    }
    v->left = realloc(v->left, v->left_bytes + 1);
    memcpy(v->left, from, v->left_bytes);
}

/* Copies what is inside the HTTP chunks to `to`; returns the end of it. */
static char *unchunk(viewer *v, const char *from, const char *end, char *to) {
    if (!v->chunked) return mempcpy(to, from, (size_t)(end - from));
    while (from < end) {
        if (v->chunk_left > 2) { /* the last two are the line end after the chunk */
            long take = v->chunk_left - 2 < end - from ? v->chunk_left - 2 : end - from;
            to = mempcpy(to, from, (size_t)take);
            from += take, v->chunk_left -= take;
        } else if (v->chunk_left > 0) {
            from++, v->chunk_left--;
        } else if (*from++ != '\n') {
            if (v->size_bytes < 15) v->size_text[v->size_bytes++] = from[-1];
        } else {
            v->size_text[v->size_bytes] = 0, v->size_bytes = 0;
            v->chunk_left = strtol(v->size_text, NULL, 16) + 2;
        }
    }
    return to;
}

static void take_body(viewer *v, const char *from, const char *end) {
    memcpy(text, v->left, v->left_bytes);
    take_text(v, text, unchunk(v, from, end, text + v->left_bytes));
}

static void take_headers(viewer *v, const char *from, size_t bytes) {
    v->left = realloc(v->left, v->left_bytes + bytes + 1);
    memcpy(v->left + v->left_bytes, from, bytes);
    v->left_bytes += bytes;
    v->left[v->left_bytes] = 0;
    char *body = strstr(v->left, "\r\n\r\n");
    if (!body) return;
    body[2] = 0, body += 4;
    int status = atoi(v->left + 9);
    statuses[status > 0 && status < 600 ? status : 0]++;
    if (status != 200) {
        leave(v);
        return;
    }
    v->chunked = strcasestr(v->left, "\ntransfer-encoding: chunked") != NULL;
    v->state = BODY, answered++;
    size_t more = v->left_bytes - (size_t)(body - v->left);
    memcpy(wire, body, more);
    v->left_bytes = 0;
    take_body(v, wire, wire + more);
}

static void readable(viewer *v) {
    ssize_t got = recv(v->fd, wire, sizeof wire, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        leave(v);
        return;
    }
    received_ns = now_ns();
    bytes_read += (uint64_t)got;
    if (v->state == BODY) take_body(v, wire, wire + got);
    else take_headers(v, wire, (size_t)got);
}

static void ask(viewer *v) {
    char request[2048];
    int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n",
                         paths[(v - all) % path_count]);
    if (send(v->fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
        leave(v);
        return;
    }
    v->state = HEADERS;
    /* One that is stalled is never read, so nothing more can be learned of it here. */
    int never = v - all < stalled;
    if (never) answered++;
    struct epoll_event event = {.events = never ? 0 : EPOLLIN, .data.ptr = v};
    epoll_ctl(epoll, EPOLL_CTL_MOD, v->fd, &event);
}

static void connect_one(viewer *v, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    v->state = CONNECTING;
    if (v->fd < 0 || (connect(v->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)) {
        perror("connect");
        exit(1);
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = v};
    epoll_ctl(epoll, EPOLL_CTL_ADD, v->fd, &event);
}

static void read_paths(const char *name) {
    FILE *file = fopen(name, "r");
    char line[1024];
    while (file && path_count < MOST_PATHS && fscanf(file, "%1023s", line) == 1) paths[path_count++] = strdup(line);
    if (!path_count) fprintf(stderr, "no paths in %s\n", name), exit(1);
    fclose(file);
}

static void report(uint64_t began_ns, int connected_in_time) {
    uint64_t events = 0, missing = 0, doubled = 0, slowest_ns = began_ns;
    for (int i = stalled; i < viewers; i++) {
        events += all[i].events, missing += all[i].missing, doubled += all[i].doubled;
        if (all[i].done_ns > slowest_ns) slowest_ns = all[i].done_ns;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"viewers\": %d, \"answered\": %d, \"failed\": %d, \"left_early\": %d, \"complete\": %d, \"connected\": %s, ",
           viewers - stalled, answered - stalled, failed, left_early, complete, connected_in_time ? "true" : "false");
    printf("\"events\": %lu, \"missing\": %lu, \"doubled\": %lu, \"bytes\": %lu, \"span_s\": %.4f, \"complete_s\": %.4f, ",
           events, missing, doubled, bytes_read, (double)(last_ns - first_ns) / 1e9, (double)(slowest_ns - began_ns) / 1e9);
    printf("\"statuses\": {");
    for (int i = 0, any = 0; i < 600; i++)
        if (statuses[i]) printf("%s\"%d\": %d", any++ ? ", " : "", i, statuses[i]);
    printf("}, ");
    printf("\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, ", histogram_percentile(&latency, 50) / 1e6,
           histogram_percentile(&latency, 90) / 1e6, histogram_percentile(&latency, 99) / 1e6, (double)latency.highest / 1e6);
    printf("\"cpu_s\": %.3f}\n", (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

int main(int count, char **argument) {
    if (count < 6) return fprintf(stderr, "usage: see the head of viewers.c\n"), 2;
    int port = atoi(argument[1]), per_s = count > 7 ? atoi(argument[7]) : 0, connecting = 0, ready = 0;
    viewers = atoi(argument[2]), wanted = atol(argument[4]), stalled = count > 6 ? atoi(argument[6]) : 0;
    double limit_s = atof(argument[5]);
    read_paths(argument[3]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, stop);
    all = calloc((size_t)viewers, sizeof *all);
    epoll = epoll_create1(0);
    static struct epoll_event events[1024];
    uint64_t began_ns = now_ns();
    while (!told_to_stop && (double)(now_ns() - began_ns) / 1e9 < limit_s && !(ready && viewers > stalled && complete == viewers - stalled)) {
        int may = per_s ? (int)((double)(now_ns() - began_ns) / 1e9 * per_s) + 1 : connecting + 256;
        while (connecting < viewers && connecting < may) connect_one(&all[connecting++], port);
        int found = epoll_wait(epoll, events, 1024, connecting < viewers ? 1 : 20);
        for (int i = 0; i < found; i++) {
            viewer *v = events[i].data.ptr;
            if (v->state == CONNECTING) ask(v);
            else if (v->state == GONE) continue;
            else if (v - all < stalled) leave(v); /* hung up on */
            else readable(v);
        }
        if (!ready && answered + failed >= viewers) ready = 1, puts("ready"), fflush(stdout);
        if (ready && !answered) break;
    }
    report(began_ns, ready);
    return 0;
}
