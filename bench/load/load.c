/* A load generator for MQTT brokers: publishers and subscribers in one epoll loop.
 *
 *   load key=value ...     the scenario; the keys and what they mean are in `settings` below
 *
 * It is driven line by line on standard input and answers on standard output, so that its driver
 * can look at the broker's CPU time and memory between any two steps:
 *
 *   connect       everybody connects and subscribes         -> "result name=value ..."
 *   fill          the idle subscribe to their filters       -> "result name=value ..."
 *   run SECONDS   publish for so long, wait for the last    -> "result name=value ..."
 *   store         publish a retained message to each topic  -> "result name=value ..."
 *   fetch         subscribe to them all, wait for the last  -> "result name=value ..."
 *   finish        a PINGREQ to the broker on every          -> "finished"
 *                 connection; nothing may come before its answer
 *   check COUNT   read a subscriber's stream from the rest  -> "right"
 *                 of standard input instead (for tests)
 *
 * The first message that is lost, doubled, out of order or damaged ends it with a line "wrong: why"
 * and status 1; what is no fault of the broker ends it with status 2 and a line on standard error.
 *
 * Nothing is published that a broker would have to drop: at most `backlog` messages of a publisher
 * are under way to its (average) receiver, at QoS 1 and 2 at most `inflight` are unacknowledged.
 * Each `batch` is one write; a subscriber acknowledges what one read brought in one write. What a
 * socket does not take is kept, and nothing else is written before it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "transport.h"
#include "verify.h"

enum {
    READ_SIZE = 1 << 18,       /* what one read takes */
    TURN_WRITES = 32,          /* batches of one publisher before the sockets are looked at again */
    HANDSHAKES_MAX = 64,       /* connections under way at once; a listen queue of 100 is common */
    EVENTS_MAX = 256,
    SENT_AT_SIZE = 1 << 16,    /* send times are kept for so many messages */
    SAMPLES_MAX = 1 << 20,     /* latencies kept */
    FILTERS_A_PACKET = 50,     /* of the idle: a SUBACK must fit where the rest of a read is kept */
    PEERS_AN_ADDRESS = 4096,   /* connections from one loopback address: ports are 16 bits */
};

static struct scheme scheme = {.publishers = 1, .topics = 1, .payload = 16, .version = 4};
static long port = 1883, subscribers = 1, batch = 1, inflight = 20, backlog = 1024;
static long pairs, shared, lasting, queue, wildcard, rate, silence_ms = 5000, feed_size = READ_SIZE;
static long spread, retained, idle, filters, wild, tls, ws;

static const struct { const char *name; long *value, least, most; } settings[] = {
    {"port", &port, 1, 65535},
    {"publishers", &scheme.publishers, 0, 1000},
    {"subscribers", &subscribers, 0, 1000000},
    {"topics", &scheme.topics, 1, 100000},             /* of each publisher, in turn */
    {"payload", &scheme.payload, IDENTITY_SIZE, PAYLOAD_MAX},
    {"qos", &scheme.qos, 0, 2},
    {"version", &scheme.version, 4, 5},
    {"properties", &scheme.properties, 0, 1},          /* a user property on every message, v5 */
    {"batch", &batch, 0, 10000},                       /* messages a write; 0: what there is room for */
    {"inflight", &inflight, 1, 60000},
    {"backlog", &backlog, 1, 1 << 24},
    {"pairs", &pairs, 0, 1},                           /* subscriber i hears publisher i, no other */
    {"shared", &shared, 0, 1},                         /* the subscribers are one shared group */
    {"lasting", &lasting, 0, 1},                       /* subscribers' sessions outlive them */
    {"queue", &queue, 0, 1},                           /* with shared: a named queue of midge instead */
    {"wildcard", &wildcard, 0, 1},                     /* subscribe to bench/#, not to every topic */
    {"spread", &spread, 0, 1},                         /* subscriber i hears topic i, no other */
    {"retained", &retained, 0, 1},                     /* for `store` and `fetch` instead of `run` */
    {"idle", &idle, 0, 1000000},                       /* connections more, that get no message; */
    {"filters", &filters, 0, 10000000},                /* what they together subscribe to with `fill`, */
    {"wild", &wild, 0, 1},                             /* and whether these have wildcards */
    {"tls", &tls, 0, 1},                               /* the connections are TLS, */
    {"ws", &ws, 0, 1},                                 /* or WebSockets */
    {"rate", &rate, 0, 100000},                        /* messages a second, one by one; 0: no limit */
    {"silence", &silence_ms, 1, 60000},                /* nothing came for so long: it is lost */
    {"feed", &feed_size, 1, READ_SIZE},                /* `check` takes its input in such pieces */
};

enum state { CLOSED, CONNECTING, SUBSCRIBING, READY };

struct connection {
    int fd;
    struct transport transport;
    bool publishes, idles, watched, ponged;   /* watched: for room to write */
    enum state state;
    long index;
    long suback_count;                 /* still to come */
    uint8_t *rest;                     /* the incomplete packet at the end of the last read */
    size_t rest_size;
    uint8_t *out;                      /* what the socket did not take */
    size_t out_size, out_capacity;
    uint32_t sent;                     /* a publisher's messages, */
    uint64_t delivered;                /* their arrivals at all receivers, */
    long unacked;                      /* those not yet acknowledged, */
    uint16_t id;                       /* the last packet identifier, */
    uint8_t *awaited;                  /* and per identifier the answer to come, a packet type */
    struct reader reader;              /* a subscriber's */
};

static struct connection *connections;   /* publishers, then subscribers, then the idle */
static long connection_count, copies;    /* copies: receivers of one message */
static int poller, timer = -1;
static uint64_t published, delivered, progress;   /* progress: packets that came, of any kind */
static uint64_t read_at_ns;                       /* when the last read returned */
static uint64_t *sent_at_ns;
static uint32_t *latency_ns;
static size_t latency_count;

static void end_with(int status, const char *word, const char *format, va_list arguments)
{
    FILE *to = status == 1 ? stdout : stderr;
    fprintf(to, "%s: ", word);
    vfprintf(to, format, arguments);
    fputc('\n', to);
    fflush(to);
    exit(status);
}

static void wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end_with(1, "wrong", format, arguments);
}

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end_with(2, "load", format, arguments);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool silent_since(uint64_t then_ns) { return now_ns() - then_ns > (uint64_t)silence_ms * 1000000; }

static double cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static const char *role(const struct connection *c)
{
    return c->publishes ? "publisher" : c->idles ? "idle connection" : "subscriber";
}

/* -- writing ------------------------------------------------------------------------------------ */

static void watch(struct connection *c, bool room)
{
    struct epoll_event event = {.events = EPOLLIN | (room ? EPOLLOUT : 0), .data.ptr = c};
    if (c->watched != room && epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl");
    c->watched = room;
}

static size_t write_some(struct connection *c, const uint8_t *data, size_t size)
{
    ssize_t n = transport_write(&c->transport, data, size);
    if (n < 0) wrong("the broker cut off %s %ld: %s", role(c), c->index, strerror(errno));
    return (size_t)n;
}

/* The same in a frame, which is used before the next one is made. */
static const uint8_t *framed(const uint8_t *data, size_t *size)
{
    static uint8_t *frame;
    static size_t capacity;
    if (*size + FRAME_HEADER_MAX > capacity) {
        capacity = 2 * (*size + FRAME_HEADER_MAX);
        frame = realloc(frame, capacity);
        if (!frame) fail("out of memory");
    }
    *size = put_frame(frame, data, *size);
    return frame;
}

static void write_all(struct connection *c, const uint8_t *data, size_t size)
{
    if (c->fd < 0) return; /* `check` has no broker to answer to */
    if (ws) data = framed(data, &size);
    size_t n = c->out_size ? 0 : write_some(c, data, size);
    if (n == size) return;
    size_t needed = c->out_size + size - n;
    if (needed > c->out_capacity) {
        c->out_capacity = needed * 2;
        c->out = realloc(c->out, c->out_capacity);
        if (!c->out) fail("out of memory");
    }
    memcpy(c->out + c->out_size, data + n, size - n);
    c->out_size = needed;
    watch(c, true);
}

static void write_rest(struct connection *c)
{
    size_t n = write_some(c, c->out, c->out_size);
    c->out_size -= n;
    memmove(c->out, c->out + n, c->out_size);
    if (!c->out_size) watch(c, false);
}

/* -- reading ------------------------------------------------------------------------------------ */

static void take_message(struct connection *c, const uint8_t *p, size_t header, size_t size,
                         uint8_t *answer, size_t *answer_size)
{
    struct arrival m = {0};
    const char *fault = check_publish(&scheme, &c->reader, p, header, size, &m);
    if (fault)
        wrong("subscriber %ld, message %u of publisher %u: %s (%llu were right)", c->index, m.count,
              m.publisher, fault, (unsigned long long)c->reader.received);
    delivered++;
    if (!connections) return;
    connections[m.publisher].delivered++;
    if (rate && latency_count < SAMPLES_MAX)
        latency_ns[latency_count++] = (uint32_t)(read_at_ns - sent_at_ns[m.count % SENT_AT_SIZE]);
    if (scheme.qos) *answer_size += put_ack(answer + *answer_size, scheme.qos == 1 ? PUBACK : PUBREC, m.id);
}

/* PUBACK, PUBREC or PUBCOMP for a publisher: is it the answer that this identifier waits for? */
static void take_answer(struct connection *c, int type, unsigned id, uint8_t *answer, size_t *answer_size)
{
    if (c->awaited[id] != type)
        wrong("packet type %d for identifier %u, which waits for %d", type, id, c->awaited[id]);
    if (type == PUBREC) {
        c->awaited[id] = PUBCOMP;
        *answer_size += put_ack(answer + *answer_size, PUBREL, id);
        return;
    }
    c->awaited[id] = 0;
    c->unacked--;
}

static void take_acknowledgement(struct connection *c, const uint8_t *p, size_t header, size_t size,
                                 uint8_t *answer, size_t *answer_size)
{
    int type = p[0] >> 4;
    if (size < header + 2) wrong("packet type %d without an identifier", type);
    if (size > header + 2 && p[header + 2]) wrong("packet type %d with reason 0x%02x", type, p[header + 2]);
    unsigned id = get_u16(p + header);
    if (c->publishes && type != PUBREL) take_answer(c, type, id, answer, answer_size);
    else if (!c->publishes && type == PUBREL && scheme.qos == 2)
        *answer_size += put_ack(answer + *answer_size, PUBCOMP, id);
    else wrong("packet type %d for %s %ld", type, role(c), c->index);
}

static void take_suback(struct connection *c, const uint8_t *p, size_t header, size_t size)
{
    int expected = c->idles ? 0 : (int)scheme.qos;
    size_t first = header + 2 + (scheme.version == 5 ? 1 : 0);
    if (c->state != SUBSCRIBING || first >= size) wrong("%s %ld got a SUBACK", role(c), c->index);
    for (size_t i = first; i < size; i++)
        if (p[i] != expected) wrong("%s %ld was granted 0x%02x", role(c), c->index, p[i]);
    if (!--c->suback_count) c->state = READY;
}

static void subscribe(struct connection *c);

static void take_packet(struct connection *c, const uint8_t *p, size_t header, size_t size,
                        uint8_t *answer, size_t *answer_size)
{
    int type = p[0] >> 4;
    progress++;
    if (type == PUBLISH && !c->publishes && !c->idles) take_message(c, p, header, size, answer, answer_size);
    else if (type >= PUBACK && type <= PUBCOMP) take_acknowledgement(c, p, header, size, answer, answer_size);
    else if (type == SUBACK) take_suback(c, p, header, size);
    else if (type == PINGRESP) c->ponged = true;
    else if (type == CONNACK && c->state == CONNECTING && size >= 4) {
        if (p[3]) wrong("%s %ld was refused with 0x%02x", role(c), c->index, p[3]);
        if (retained) c->state = READY; /* `fetch` subscribes, when there is something to be sent */
        else subscribe(c);
    } else if (type == DISCONNECT)
        wrong("%s %ld got DISCONNECT 0x%02x", role(c), c->index, size > 2 ? p[2] : 0);
    else wrong("%s %ld got packet type %d", role(c), c->index, type);
}

/* Takes `size` bytes at `data`; whoever owns them lets `rest_size` bytes be written before them. */
static void feed(struct connection *c, uint8_t *data, size_t size)
{
    static uint8_t answer[READ_SIZE + PAYLOAD_MAX]; /* no packet that is answered is under 4 bytes */
    size_t answer_size = 0, header = 0;
    if (c->rest_size) {
        data -= c->rest_size;
        size += c->rest_size;
        memcpy(data, c->rest, c->rest_size);
        c->rest_size = 0;
    }
    while (size) {
        long n = packet_length(data, size, &header);
        if (n < 0) wrong("%s %ld got bytes that are no packet", role(c), c->index);
        if (!n) break;
        take_packet(c, data, header, (size_t)n, answer, &answer_size);
        data += n;
        size -= (size_t)n;
    }
    if (size > publish_size_max(&scheme) + 64) wrong("%s %ld got a packet too long", role(c), c->index);
    if (size) {
        if (!c->rest) c->rest = allocate(publish_size_max(&scheme) + 64, 1);
        memcpy(c->rest, data, size);
        c->rest_size = size;
    }
    if (answer_size) write_all(c, answer, answer_size);
}

static uint8_t *read_area(void)
{
    static uint8_t *area;
    if (!area) area = allocate(READ_SIZE + publish_size_max(&scheme) + 64, 1);
    return area + publish_size_max(&scheme) + 64;
}

static void read_some(struct connection *c)
{
    uint8_t *area = read_area();
    const char *fault = NULL;
    do {
        ssize_t n = transport_receive(&c->transport, area, READ_SIZE);
        if (n < 0) wrong("the broker closed the connection of %s %ld", role(c), c->index);
        if (rate) read_at_ns = now_ns();
        size_t size = ws ? unframe(&c->transport, area, (size_t)n, &fault) : (size_t)n;
        if (fault) wrong("%s %ld: %s", role(c), c->index, fault);
        if (size) feed(c, area, size);
    } while (transport_holds_more(&c->transport));
}

/* Waits for events and serves them; returns how often the timer has fired. */
static uint64_t serve(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t ticks = 0;
    int count = epoll_wait(poller, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) {
            if (read(timer, &ticks, sizeof ticks) != sizeof ticks) ticks = 0;
            continue;
        }
        if (events[i].events & EPOLLOUT) write_rest(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_some(c);
    }
    return ticks;
}

/* -- connecting --------------------------------------------------------------------------------- */

static void subscribe(struct connection *c)
{
    const char *prefix = shared && !queue ? "$share/group/" : "";
    long first = pairs ? c->index : 0, last = pairs ? c->index + 1 : scheme.publishers;
    if (c->publishes || c->idles || !scheme.publishers) {
        c->state = READY; /* without publishers, connections are all that is measured */
        return;
    }
    c->state = SUBSCRIBING;
    c->suback_count = wildcard || spread ? 1 : (last - first) * scheme.topics;
    uint8_t *buffer = allocate((size_t)c->suback_count, 64), *p = buffer;
    char filter[64];
    for (long i = 0; i < c->suback_count; i++) {
        long number = spread ? c->index : first * scheme.topics + i;
        const char *topic = scheme.topic_names + number * TOPIC_SIZE;
        if (wildcard) snprintf(filter, sizeof filter, "%sbench/#", prefix);
        else snprintf(filter, sizeof filter, "%s%.*s", prefix, TOPIC_SIZE, topic);
        p += put_subscribe(p, (int)scheme.version, (unsigned)(i % 65535 + 1), filter, (int)scheme.qos);
    }
    write_all(c, buffer, (size_t)(p - buffer));
    free(buffer);
}

/* The idle subscribe to what nobody publishes to: names of their own, or filters whose first level
 * is a wildcard that every topic has, and whose second is not. */
static void subscribe_idle(struct connection *c)
{
    long first = filters * c->index / idle, last = filters * (c->index + 1) / idle;
    uint8_t *buffer = allocate((size_t)(last - first) + 1, 48), *p = buffer;
    char names[FILTERS_A_PACKET][32];
    const char *packet[FILTERS_A_PACKET];
    for (long i = first; i < last; i += FILTERS_A_PACKET) {
        int count = (int)(last - i < FILTERS_A_PACKET ? last - i : FILTERS_A_PACKET);
        for (int k = 0; k < count; k++) {
            snprintf(names[k], sizeof names[k], wild ? "+/%07ld/#" : "idle/%07ld/x", i + k);
            packet[k] = names[k];
        }
        unsigned id = (unsigned)(c->suback_count++ % 65535 + 1);
        p += put_subscribe_many(p, (int)scheme.version, id, packet, count, 0);
    }
    if (!c->suback_count) return;
    c->state = SUBSCRIBING;
    write_all(c, buffer, (size_t)(p - buffer));
    free(buffer);
}

/* From loopback addresses of its own for every few thousand: a pair of addresses has 28,000 ports. */
static void bind_to_address(int fd, long index)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int on = 1;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index / PEERS_AN_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) fail("bind: %s", strerror(errno));
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    uint8_t hello[128];
    char id[32];
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    if (c - connections >= PEERS_AN_ADDRESS) bind_to_address(c->fd, c - connections);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const char *fault = transport_begin(&c->transport, c->fd, tls, ws);
    if (fault) wrong("%s %ld: %s", role(c), c->index, fault);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
    c->state = CONNECTING;
    snprintf(id, sizeof id, "bench-%c%06ld", role(c)[0], c->index);
    bool lasts = lasting && !c->publishes && !c->idles;
    write_all(c, hello, put_connect(hello, (int)scheme.version, id, lasts));
}

/* The others come after those before them are ready, subscribers first. */
static void connect_all(void)
{
    long opened = 0, ready = 0;
    uint64_t begin = now_ns(), last = progress, last_ns = begin;
    double cpu_before = cpu_s();
    while (ready < connection_count) {
        while (opened < connection_count && opened - ready < HANDSHAKES_MAX)
            open_connection(&connections[connection_count - 1 - opened++]);
        serve(100);
        while (ready < opened && connections[connection_count - 1 - ready].state == READY) ready++;
        if (progress != last) last = progress, last_ns = now_ns();
        else if (silent_since(last_ns)) wrong("no answer to CONNECT or SUBSCRIBE");
    }
    printf("result seconds=%.6f load_cpu_s=%.6f\n", (double)(now_ns() - begin) / 1e9, cpu_s() - cpu_before);
}

static void fill(void)
{
    uint64_t begin = now_ns(), last = progress, last_ns = begin;
    for (long i = 0; i < idle; i++) {
        struct connection *c = &connections[connection_count - idle + i];
        subscribe_idle(c);
        while (c->state != READY) { /* one after the other: a broker need not keep it all at once */
            serve(100);
            if (progress != last) last = progress, last_ns = now_ns();
            else if (silent_since(last_ns)) wrong("no answer to SUBSCRIBE");
        }
    }
    printf("result seconds=%.6f\n", (double)(now_ns() - begin) / 1e9);
}

/* -- publishing --------------------------------------------------------------------------------- */

/* How many messages this publisher may write now. */
static long room(const struct connection *c)
{
    if (c->out_size) return 0;
    long ahead = (long)c->sent - (long)(c->delivered / (uint64_t)copies), n = backlog - ahead;
    if (scheme.qos && inflight - c->unacked < n) n = inflight - c->unacked;
    return n;
}

static unsigned next_id(struct connection *c)
{
    do c->id = (uint16_t)(c->id == 65535 ? 1 : c->id + 1);
    while (c->awaited[c->id]);
    c->awaited[c->id] = scheme.qos == 1 ? PUBACK : PUBREC;
    c->unacked++;
    return c->id;
}

static void publish(struct connection *c, long count)
{
    static uint8_t *buffer;
    if (!buffer) buffer = allocate((size_t)(batch ? batch : inflight), publish_size_max(&scheme));
    uint8_t *p = buffer;
    for (long i = 0; i < count; i++) {
        unsigned id = scheme.qos ? next_id(c) : 0;
        if (rate) sent_at_ns[c->sent % SENT_AT_SIZE] = now_ns();
        p += put_publish(p, &scheme, (uint32_t)c->index, c->sent++, id);
    }
    published += (uint64_t)count;
    write_all(c, buffer, (size_t)(p - buffer));
}

/* Every publisher writes what it may; true when one of them could go on at once. */
static bool publish_all(void)
{
    bool more = false;
    for (long i = 0; i < scheme.publishers; i++) {
        int writes = 0;
        for (;;) {
            long n = room(&connections[i]);
            if (n < 1 || n < batch) break;
            if (writes++ == TURN_WRITES) {
                more = true;
                break;
            }
            publish(&connections[i], batch ? batch : n < inflight ? n : inflight);
        }
    }
    return more;
}

static bool all_arrived(void)
{
    long unacked = 0;
    for (long i = 0; i < scheme.publishers; i++) unacked += connections[i].unacked;
    return !unacked && delivered == published * (uint64_t)copies;
}

static void say_what_is_missing(void)
{
    for (long i = scheme.publishers; i < connection_count - idle && !shared && !spread; i++) {
        uint64_t sent = pairs ? connections[i - scheme.publishers].sent : published;
        if (connections[i].reader.received != sent)
            wrong("subscriber %ld got %llu of %llu messages", connections[i].index,
                  (unsigned long long)connections[i].reader.received, (unsigned long long)sent);
    }
    if (delivered != published * (uint64_t)copies)
        wrong("%llu messages of %llu were delivered", (unsigned long long)delivered,
              (unsigned long long)published);
    wrong("messages are not acknowledged");
}

static void set_timer(bool on)
{
    long interval = on ? 1000000000 / rate : 0;
    struct itimerspec at = {{interval / 1000000000, interval % 1000000000},
                            {interval / 1000000000, interval % 1000000000}};
    if (timerfd_settime(timer, 0, &at, NULL)) fail("timerfd_settime");
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void run(double seconds)
{
    uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), last_ns = begin, now = begin;
    uint64_t delivered_before = delivered, last = progress;
    double cpu_before = cpu_s();
    latency_count = 0;
    if (rate) set_timer(true);
    while (now < end || !all_arrived()) {
        bool more = now < end && !rate && publish_all();
        uint64_t ticks = serve(more ? 0 : now < end ? 10 : 100);
        if (now < end)
            for (; ticks; ticks--) publish(&connections[0], 1);
        now = now_ns();
        if (progress != last) last = progress, last_ns = now;
        else if (silent_since(last_ns)) say_what_is_missing();
    }
    if (rate) set_timer(false);
    printf("result seconds=%.6f delivered=%llu load_cpu_s=%.6f", (double)(now - begin) / 1e9,
           (unsigned long long)(delivered - delivered_before), cpu_s() - cpu_before);
    if (latency_count) {
        qsort(latency_ns, latency_count, sizeof *latency_ns, by_value);
        printf(" p50_us=%.1f p99_us=%.1f", latency_ns[latency_count / 2] / 1e3,
               latency_ns[latency_count * 99 / 100] / 1e3);
    }
    printf("\n");
}

/* A broker answers in order: what it still had to do or to send comes before its PINGRESP. */
static void ping(long count)
{
    uint64_t last = progress, last_ns = now_ns();
    for (long i = 0; i < count; i++) {
        connections[i].ponged = false;
        write_all(&connections[i], (const uint8_t *)"\xc0", 2);
    }
    for (long i = 0; i < count;) {
        if (connections[i].ponged) {
            i++;
            continue;
        }
        serve(100);
        if (progress != last) last = progress, last_ns = now_ns();
        else if (silent_since(last_ns)) wrong("no answer to PINGREQ");
    }
}

/* Retained messages, one to each topic, from publisher 0; at QoS 0 a PINGRESP says that all of them
 * are stored. It is the same when it is done again: each takes the place of the one before. */
static void store(void)
{
    uint64_t begin = now_ns();
    connections[0].sent = 0;
    while ((long)connections[0].sent < scheme.topics) {
        long left = scheme.topics - (long)connections[0].sent;
        if (connections[0].out_size) serve(100);
        else publish(&connections[0], left < batch ? left : batch);
    }
    ping(1);
    printf("result seconds=%.6f\n", (double)(now_ns() - begin) / 1e9);
}

static void fetch(void)
{
    struct connection *c = &connections[scheme.publishers];
    uint64_t begin = now_ns(), last = progress, last_ns = begin;
    subscribe(c);
    while (c->state != READY || (long)c->reader.received < scheme.topics) {
        serve(100);
        if (progress != last) last = progress, last_ns = now_ns();
        else if (silent_since(last_ns))
            wrong("%llu of %ld retained messages came", (unsigned long long)c->reader.received, scheme.topics);
    }
    printf("result seconds=%.6f\n", (double)(now_ns() - begin) / 1e9);
}

static void finish(void)
{
    ping(connection_count);
    if (retained && (long)connections[scheme.publishers].reader.received != scheme.topics)
        wrong("messages came after the end");
    if (scheme.publishers && !retained && !all_arrived()) wrong("messages came after the end");
}

/* -- scenario and commands ---------------------------------------------------------------------- */

static void check(uint64_t count)
{
    struct connection c = {.fd = -1, .state = READY};
    ssize_t n;
    reader_prepare(&c.reader, &scheme, -1, -1);
    while ((n = read(STDIN_FILENO, read_area(), (size_t)feed_size)) > 0) feed(&c, read_area(), (size_t)n);
    if (c.rest_size) wrong("the stream ends within a packet");
    if (c.reader.received != count)
        wrong("subscriber 0 got %llu of %llu messages", (unsigned long long)c.reader.received,
              (unsigned long long)count);
    printf("right\n");
}

static void prepare(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    copies = pairs || shared || spread ? 1 : subscribers;
    connection_count = scheme.publishers + subscribers + idle;
    connections = allocate((size_t)connection_count, sizeof *connections);
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->publishes = i < scheme.publishers;
        c->idles = i >= scheme.publishers + subscribers;
        c->index = c->publishes ? i : i - scheme.publishers - (c->idles ? subscribers : 0);
        if (c->publishes) c->awaited = allocate(65536, 1);
        else if (scheme.publishers && !c->idles)
            reader_prepare(&c->reader, &scheme, pairs ? c->index : -1, spread ? c->index : -1);
    }
    if (!rate) return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sent_at_ns = allocate(SENT_AT_SIZE, sizeof *sent_at_ns);
    latency_ns = allocate(SAMPLES_MAX, sizeof *latency_ns);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event)) fail("timerfd");
}

static void set(const char *word)
{
    const char *equals = strchr(word, '=');
    for (size_t i = 0; equals && i < sizeof settings / sizeof *settings; i++) {
        if (strncmp(settings[i].name, word, (size_t)(equals - word)) || settings[i].name[equals - word])
            continue;
        *settings[i].value = atol(equals + 1);
        if (*settings[i].value < settings[i].least || *settings[i].value > settings[i].most)
            fail("%s is out of range", word);
        return;
    }
    fail("what is %s?", word);
}

/* One line of standard input, without a buffer: what follows `check` is not ours to take. */
static bool read_line(char *line, size_t size)
{
    size_t n = 0;
    while (n + 1 < size && read(STDIN_FILENO, line + n, 1) == 1 && line[n] != '\n') n++;
    line[n] = 0;
    return n > 0;
}

int main(int argc, char **argv)
{
    char line[64];
    for (int i = 1; i < argc; i++) set(argv[i]);
    scheme.shared = shared;
    scheme.queue = queue;
    scheme.retained = retained;
    scheme.spread = spread;
    if (spread && (scheme.publishers != 1 || subscribers != scheme.topics))
        fail("messages are spread from one publisher over as many topics as subscribers");
    if (retained) wildcard = 1;
    if (retained && (scheme.publishers != 1 || subscribers != 1 || scheme.qos || !batch))
        fail("retained messages go from one to one at QoS 0, so many a write");
    if (pairs && subscribers != scheme.publishers) fail("pairs need as many subscribers as publishers");
    if (rate && (scheme.publishers != 1 || copies > 1)) fail("latency is measured from one to one");
    scheme_prepare(&scheme);
    while (read_line(line, sizeof line)) {
        if (!connections && strncmp(line, "check", 5)) prepare();
        if (!strcmp(line, "connect")) connect_all();
        else if (!strcmp(line, "fill")) fill();
        else if (!strncmp(line, "run ", 4)) run(atof(line + 4));
        else if (!strcmp(line, "store")) store();
        else if (!strcmp(line, "fetch")) fetch();
        else if (!strcmp(line, "finish")) finish(), printf("finished\n");
        else if (!strncmp(line, "check ", 6)) check(strtoull(line + 6, NULL, 10));
        else fail("what is %s?", line);
        fflush(stdout);
    }
    return 0;
}
