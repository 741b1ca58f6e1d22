/* A load generator for MQTT brokers: publishers and subscribers in one epoll loop.
 *
 * It connects everybody, says READY, waits for a line on standard input, moves the messages, and
 * prints one line of figures. The caller reads the broker's CPU time around that. Every message is
 * checked: it says which publisher sent it and the how-manyeth it is, so loss, doubles, disorder and
 * damage are seen; the first fault ends the run with WRONG and status 1.
 *
 * usage: load key=value ...
 *   port     pubs subs     how many of each
 *   messages               that each publisher sends
 *   batch                  packets a write
 *   window                 QoS 1, 2: unacknowledged messages of one publisher
 *   ahead                  how many messages publishers may be ahead of the slowest receiver, in all
 *   qos size topics        quality of service, bytes of payload (>= 8), topics per publisher
 *   version                4 or 5
 *   pairs                  1: subscriber i gets what publisher i sends, else everybody gets all
 *   shared                 1: the subscribers are one shared subscription
 *   rate                   messages a second (0: as fast as it goes); prints latencies
 *   idle                   connections that do nothing; only these are made
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* WRITES_MAX: how much one publisher sends before the sockets are looked at again. */
enum { READ_BYTES = 1 << 18, PUBS_MAX = 64, TOPIC_BYTES = 9, WRITES_MAX = 16 };

static long port = 1883, pubs = 1, subs = 1, messages = 1000, batch = 1, window = 0, ahead = 100000;
static long qos = 0, size = 16, topics = 1, version = 4, pairs = 0, shared = 0, rate = 0, idle = 0;

static const struct { const char *name; long *value; } options[] = {
    {"port", &port}, {"pubs", &pubs}, {"subs", &subs}, {"messages", &messages}, {"batch", &batch},
    {"window", &window}, {"ahead", &ahead}, {"qos", &qos}, {"size", &size}, {"topics", &topics},
    {"version", &version}, {"pairs", &pairs}, {"shared", &shared}, {"rate", &rate}, {"idle", &idle},
};

typedef struct {
    int fd, number, is_pub, want_write;
    unsigned char *in;      /* what was read and not yet parsed */
    size_t in_used, in_room;
    unsigned char *out;     /* what the socket did not take */
    size_t out_used, out_sent, out_room;
    long sent, acked;       /* a publisher's messages */
    long next_id;
    int32_t last[PUBS_MAX]; /* the last message that a subscriber had of each publisher */
} Client;

static Client *clients;
static int poller;
static long delivered, expected, received_least;
static uint32_t *latencies;
static long latency_count;

static void wrong(const char *what, long a, long b)
{
    printf("WRONG %s (%ld, %ld)\n", what, a, b);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint32_t)(t.tv_sec * 1000000ull + t.tv_nsec / 1000);
}

/* -- output ----------------------------------------------------------------------------------- */

static void watch(Client *c, int write)
{
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
    c->want_write = write;
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void flush(Client *c)
{
    while (c->out_sent < c->out_used) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_used - c->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) wrong("connection lost while writing", c->number, errno);
            if (!c->want_write) watch(c, 1);
            return;
        }
        c->out_sent += (size_t)n;
    }
    c->out_used = c->out_sent = 0;
    if (c->want_write) watch(c, 0);
}

static unsigned char *reserve(Client *c, size_t bytes)
{
    if (c->out_used + bytes > c->out_room) {
        c->out_room = (c->out_used + bytes) * 2;
        c->out = realloc(c->out, c->out_room);
    }
    return c->out + c->out_used;
}

static size_t put_length(unsigned char *to, size_t n)
{
    size_t i = 0;
    do {
        to[i] = n & 127;
        n >>= 7;
        if (n) to[i] |= 128;
        i++;
    } while (n);
    return i;
}

static void put_ack(Client *c, int first, const unsigned char *id)
{
    unsigned char *to = reserve(c, 4);
    to[0] = (unsigned char)first;
    to[1] = 2;
    to[2] = id[0];
    to[3] = id[1];
    c->out_used += 4;
}

/* A topic has a fixed length: "b/PP/TTTT", publisher and topic number. */
static void put_topic(unsigned char *to, long publisher, long number)
{
    char text[32];
    snprintf(text, sizeof text, "b/%02ld/%04ld", publisher % 100, number % 10000);
    memcpy(to, text, TOPIC_BYTES);
}

static void put_publish(Client *c)
{
    size_t body = 2 + TOPIC_BYTES + (qos ? 2 : 0) + (version == 5) + (size_t)size;
    unsigned char *to = reserve(c, body + 5), *start = to;
    *to++ = (unsigned char)(0x30 | qos << 1);
    to += put_length(to, body);
    *to++ = 0;
    *to++ = TOPIC_BYTES;
    put_topic(to, c->number, c->sent % topics);
    to += TOPIC_BYTES;
    if (qos) {
        c->next_id = c->next_id % 65535 + 1;
        *to++ = (unsigned char)(c->next_id >> 8);
        *to++ = (unsigned char)c->next_id;
    }
    if (version == 5) *to++ = 0;
    uint32_t stamp = rate ? microseconds() : (uint32_t)c->number;
    uint32_t number = (uint32_t)c->sent;
    memset(to, (int)(number & 0xff), (size_t)size);
    memcpy(to, &stamp, 4);
    memcpy(to + 4, &number, 4);
    to += size;
    c->out_used += (size_t)(to - start);
    c->sent++;
}

/* -- input ------------------------------------------------------------------------------------ */

static void take_message(Client *c, const unsigned char *p, const unsigned char *end, int first)
{
    long level = first >> 1 & 3;
    if (first & 9) wrong("a message is marked as duplicate or retained", c->number, first);
    if (level != qos) wrong("a message came at another QoS", c->number, level);
    if (p[0] || p[1] != TOPIC_BYTES) wrong("a topic has another length", c->number, p[1]);
    const unsigned char *topic = p + 2;
    p += 2 + TOPIC_BYTES;
    const unsigned char *id = p;
    if (level) p += 2;
    if (version == 5 && *p++) wrong("a message has properties", c->number, 0);
    if (end - p != size) wrong("a payload has another length", c->number, end - p);
    uint32_t stamp, number;
    memcpy(&stamp, p, 4);
    memcpy(&number, p + 4, 4);
    long from = (topic[2] - '0') * 10 + topic[3] - '0';
    unsigned char right[TOPIC_BYTES];
    put_topic(right, from, number % topics);
    if (memcmp(topic, right, TOPIC_BYTES)) wrong("a message has another topic", c->number, number);
    if (from >= pubs || (pairs && from != c->number)) wrong("not for this one", c->number, from);
    int32_t last = c->last[from];
    if (shared ? (int32_t)number <= last : (int32_t)number != last + 1)
        wrong("lost, doubled or out of order", last, number);
    if (size > 8 && (p[8] != (number & 0xff) || p[size - 1] != (number & 0xff)))
        wrong("a payload is damaged", c->number, number);
    c->last[from] = (int32_t)number;
    delivered++;
    if (rate) latencies[latency_count++] = microseconds() - stamp;
    if (level == 1) put_ack(c, 0x40, id);
    if (level == 2) put_ack(c, 0x50, id);
}

static void take_packet(Client *c, const unsigned char *p, const unsigned char *end, int first)
{
    switch (first >> 4) {
    case 3: take_message(c, p, end, first); break;
    case 4: /* PUBACK */
        if (version == 5 && end - p > 2 && p[2] >= 0x80) wrong("refused", c->number, p[2]);
        c->acked++;
        break;
    case 5: put_ack(c, 0x62, p); break; /* PUBREC: PUBREL */
    case 6: put_ack(c, 0x70, p); break; /* PUBREL: PUBCOMP */
    case 7: c->acked++; break;
    case 14: wrong("DISCONNECT from the broker", c->number, end > p ? p[0] : 0); break;
    default: wrong("an unexpected packet", c->number, first);
    }
}

static void take_chunk(Client *c)
{
    if (c->in_room - c->in_used < READ_BYTES) {
        c->in_room = c->in_used + READ_BYTES;
        c->in = realloc(c->in, c->in_room);
    }
    ssize_t n = recv(c->fd, c->in + c->in_used, READ_BYTES, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) wrong("connection lost", c->number, n);
    c->in_used += (size_t)n;
    size_t pos = 0;
    while (c->in_used - pos >= 2) {
        size_t at = pos + 1, length = 0;
        int shift = 0, whole = 0;
        while (at < c->in_used && shift < 28) {
            unsigned char b = c->in[at++];
            length |= (size_t)(b & 127) << shift;
            shift += 7;
            if (b < 128) { whole = 1; break; }
        }
        if (!whole || c->in_used - at < length) break;
        take_packet(c, c->in + at, c->in + at + length, c->in[pos]);
        pos = at + length;
    }
    memmove(c->in, c->in + pos, c->in_used - pos);
    c->in_used -= pos;
    if (!c->in_used && idle) { free(c->in); c->in = NULL; c->in_room = 0; }
    flush(c);
}

/* -- connections ------------------------------------------------------------------------------- */

static void answer(Client *c, unsigned char *to, size_t wanted)
{
    size_t got = 0;
    while (got < wanted) {
        ssize_t n = recv(c->fd, to + got, wanted - got, 0);
        if (n <= 0) wrong("no answer to CONNECT or SUBSCRIBE", c->number, errno);
        got += (size_t)n;
        if (got == 2) wanted = 2u + to[1];
    }
}

static void say_hello(Client *c)
{
    unsigned char p[64], got[512];
    char id[32];
    int n = snprintf(id, sizeof id, "%s%06d", c->is_pub ? "p" : "s", c->number);
    size_t at = 0, extra = version == 5;
    p[at++] = 0x10;
    p[at++] = (unsigned char)(12 + extra + (size_t)n);
    memcpy(p + at, "\0\4MQTT", 6);
    at += 6;
    p[at++] = (unsigned char)version;
    p[at++] = 2;
    p[at++] = 0;
    p[at++] = 0;
    if (extra) p[at++] = 0;
    p[at++] = 0;
    p[at++] = (unsigned char)n;
    memcpy(p + at, id, (size_t)n);
    at += (size_t)n;
    if (send(c->fd, p, at, MSG_NOSIGNAL) != (ssize_t)at) wrong("CONNECT", c->number, errno);
    answer(c, got, 2);
    if (got[0] != 0x20 || got[3]) wrong("refused", c->number, got[3]);
}

static void subscribe(Client *c)
{
    unsigned char p[80], got[512];
    char filter[40];
    int n = snprintf(filter, sizeof filter, shared ? "$share/g/b/#" : pairs ? "b/%02d/#" : "b/#",
                     c->number);
    size_t at = 0, extra = version == 5;
    p[at++] = 0x82;
    p[at++] = (unsigned char)(5 + extra + (size_t)n);
    p[at++] = 0;
    p[at++] = 1;
    if (extra) p[at++] = 0;
    p[at++] = 0;
    p[at++] = (unsigned char)n;
    memcpy(p + at, filter, (size_t)n);
    at += (size_t)n;
    p[at++] = (unsigned char)qos;
    if (send(c->fd, p, at, MSG_NOSIGNAL) != (ssize_t)at) wrong("SUBSCRIBE", c->number, errno);
    answer(c, got, 2);
    if (got[0] != 0x90 || got[got[1] + 1] != qos) wrong("SUBACK", c->number, got[0]);
}

static void open_client(Client *c, int number, int is_pub)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->number = number;
    c->is_pub = is_pub;
    memset(c->last, 0xff, sizeof c->last);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) wrong("connect", number, errno);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    say_hello(c);
    if (!is_pub && !idle) subscribe(c);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

/* -- the run ----------------------------------------------------------------------------------- */

static int may_send(const Client *c, long in_all, double began)
{
    if (c->sent >= messages || c->want_write) return 0;
    if (rate) return (double)c->sent < (now() - began) * (double)rate;
    if (qos && c->sent - c->acked + batch > window) return 0;
    return in_all - received_least < ahead;
}

static void run(long in_all_receivers)
{
    struct epoll_event events[256];
    double began = now(), last_progress = began;
    long sent = 0, before = -1;
    while (delivered < expected || sent < pubs * messages) {
        received_least = in_all_receivers ? delivered / in_all_receivers : sent;
        int more = 0; /* somebody could go on at once */
        for (long i = 0; i < pubs; i++) {
            Client *c = &clients[i];
            int writes = 0;
            while (may_send(c, sent, began)) {
                if (writes++ == WRITES_MAX) { more = 1; break; }
                for (long k = 0; k < batch && c->sent < messages; k++) {
                    put_publish(c);
                    sent++;
                }
                flush(c);
            }
        }
        int n = epoll_wait(poller, events, 256, rate || more ? 0 : 1);
        for (int i = 0; i < n; i++) {
            Client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take_chunk(c);
        }
        double t = now();
        if (delivered + sent != before) { before = delivered + sent; last_progress = t; }
        else if (t - last_progress > 10) wrong("nothing moves; delivered, expected", delivered, expected);
    }
    double took = now() - began;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("seconds=%.6f delivered=%ld load_cpu=%.6f", took, delivered,
           used.ru_utime.tv_sec + used.ru_stime.tv_sec +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        size_t k, count = sizeof options / sizeof *options;
        for (k = 0; k < count && equals; k++)
            if (strlen(options[k].name) == (size_t)(equals - argv[i]) &&
                !strncmp(options[k].name, argv[i], (size_t)(equals - argv[i])))
                break;
        if (!equals || k == count) { fprintf(stderr, "load: what is %s?\n", argv[i]); return 2; }
        *options[k].value = atol(equals + 1);
    }
    if (pubs > PUBS_MAX || size < 8) { fprintf(stderr, "load: pubs or size out of range\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    char line[16];
    if (idle) {
        /* Idle connections are what is measured, so they are made after the starting signal. */
        clients = calloc((size_t)idle, sizeof *clients);
        printf("READY\n");
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin)) return 2;
        double began = now();
        for (long i = 0; i < idle; i++) open_client(&clients[i], (int)i, 0);
        printf("seconds=%.6f delivered=%ld load_cpu=0\n", now() - began, idle);
        fflush(stdout);
        return fgets(line, sizeof line, stdin) ? 0 : 0; /* stay connected until told */
    }
    clients = calloc((size_t)(pubs + subs), sizeof *clients);
    for (long i = 0; i < subs; i++) open_client(&clients[pubs + i], (int)i, 0);
    for (long i = 0; i < pubs; i++) open_client(&clients[i], (int)i, 1);
    long copies = pairs || shared ? 1 : subs;
    expected = pubs * messages * copies;
    if (rate) latencies = calloc((size_t)expected, sizeof *latencies);
    printf("READY\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 2;
    run(copies);
    if (rate) {
        qsort(latencies, (size_t)latency_count, sizeof *latencies, by_value);
        printf(" p50=%u p99=%u", latencies[latency_count / 2], latencies[latency_count * 99 / 100]);
    }
    printf("\n");
    return 0;
}
