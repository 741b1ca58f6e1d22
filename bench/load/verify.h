/* Writes the messages of a run, and checks every one that comes back.
 *
 * A message says who it is. Its payload is the publisher (4 bytes), the publisher's count from 0 on
 * (4), a hash of the two (8), and for longer payloads a stretch of one fixed noise that begins at a
 * place given by the count, so that 4 KiB are written and compared with one memcpy and memcmp. The
 * topic follows from publisher and count: message n goes to topic n mod topics.
 *
 * A reader (one subscriber) expects, for each publisher and topic, the counts in steps of `topics`:
 * loss, doubles and disorder are seen at once, order being what MQTT promises, per topic. Members
 * of a shared subscription see a rising part of the counts each; a bit per message, common to the
 * group, says that no two members had the same one, and the total that none was lost.
 *
 * A retained message is message n of its publisher on topic n, and comes marked as retained. Where
 * messages are spread, subscriber i has topic i alone: every `topics`-th message, from i on.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

enum { IDENTITY_SIZE = 16, NOISE_SHIFTS = 64, TOPIC_SIZE = 15, PAYLOAD_MAX = 1 << 20 };

/* What all messages of a run have in common. */
struct scheme {
    long publishers, topics, payload, qos, version, properties;
    bool shared, queue, retained, spread;
    char *topic_names;   /* publishers * topics names of TOPIC_SIZE characters, no terminator */
    uint8_t *noise;      /* PAYLOAD_MAX + NOISE_SHIFTS bytes */
    uint8_t **seen;      /* shared: per publisher one bit per message */
    size_t *seen_size;   /* in bytes */
};

/* What one subscriber expects next. */
struct reader {
    long only;           /* the one publisher it subscribed to, or -1 for all of them */
    long topic;          /* where messages are spread: the one topic it subscribed to, or -1 */
    uint32_t *next;      /* per publisher and topic: the count it waits for, or the least it takes */
    uint64_t received;
};

/* A message that was found to be right. */
struct arrival {
    uint32_t publisher, count;
    unsigned id;         /* packet identifier, at QoS 1 and 2 */
};

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

static inline void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (memory) return memory;
    fprintf(stderr, "load: out of memory\n");
    exit(2);
}

static inline void scheme_prepare(struct scheme *s)
{
    s->topic_names = allocate((size_t)(s->publishers * s->topics), TOPIC_SIZE + 1);
    for (long i = 0; i < s->publishers * s->topics; i++) {
        char name[64];
        snprintf(name, sizeof name, s->queue ? "$queue/%03ld%05ld" : "bench/%03ld/%05ld", i / s->topics % 1000, i % s->topics % 100000);
        memcpy(s->topic_names + i * TOPIC_SIZE, name, TOPIC_SIZE);
    }
    s->noise = allocate(PAYLOAD_MAX + NOISE_SHIFTS, 1);
    for (size_t i = 0; i < PAYLOAD_MAX + NOISE_SHIFTS; i++) s->noise[i] = (uint8_t)(mix(i) >> 40);
    s->seen = allocate((size_t)s->publishers, sizeof *s->seen);
    s->seen_size = allocate((size_t)s->publishers, sizeof *s->seen_size);
}

static inline void reader_prepare(struct reader *r, const struct scheme *s, long only, long topic)
{
    r->only = only;
    r->topic = topic;
    if (topic >= 0) { /* thousands of readers with thousands of topics each would fill the memory */
        r->next = allocate(1, sizeof *r->next);
        *r->next = (uint32_t)topic;
        return;
    }
    r->next = allocate((size_t)(s->publishers * s->topics), sizeof *r->next);
    for (long i = 0; i < s->publishers * s->topics; i++) r->next[i] = (uint32_t)(i % s->topics);
}

static inline const char *topic_of(const struct scheme *s, uint32_t publisher, uint32_t count)
{
    return s->topic_names + ((long)publisher * s->topics + (long)count % s->topics) * TOPIC_SIZE;
}

/* The most that one PUBLISH of this run can take. */
static inline size_t publish_size_max(const struct scheme *s)
{
    return 5 + 2 + TOPIC_SIZE + 2 + 1 + USER_PROPERTY_SIZE + (size_t)s->payload;
}

static inline size_t put_publish(uint8_t *p, const struct scheme *s, uint32_t publisher,
                                 uint32_t count, unsigned id)
{
    size_t properties = s->properties ? USER_PROPERTY_SIZE : 0, n = 0;
    p[n++] = (uint8_t)(0x30 | s->qos << 1 | s->retained);
    n += put_varint(p + n, 2u + TOPIC_SIZE + (s->qos ? 2u : 0u) +
                               (s->version == 5 ? 1 + properties : 0) + (size_t)s->payload);
    n += put_u16(p + n, TOPIC_SIZE);
    memcpy(p + n, topic_of(s, publisher, count), TOPIC_SIZE);
    n += TOPIC_SIZE;
    if (s->qos) n += put_u16(p + n, id);
    if (s->version == 5) {
        p[n++] = (uint8_t)properties;
        memcpy(p + n, user_property, properties);
        n += properties;
    }
    uint64_t hash = mix((uint64_t)publisher << 32 | count);
    n += put_u32(p + n, publisher);
    n += put_u32(p + n, count);
    n += put_u32(p + n, (uint32_t)(hash >> 32));
    n += put_u32(p + n, (uint32_t)hash);
    memcpy(p + n, s->noise + count % NOISE_SHIFTS, (size_t)s->payload - IDENTITY_SIZE);
    return n + (size_t)s->payload - IDENTITY_SIZE;
}

/* Marks a message of a shared group; false when a member had it before. */
static inline bool first_in_group(struct scheme *s, uint32_t publisher, uint32_t count)
{
    size_t byte = count / 8;
    if (byte >= s->seen_size[publisher]) {
        size_t size = byte * 2 + 4096;
        s->seen[publisher] = realloc(s->seen[publisher], size);
        if (!s->seen[publisher]) return false;
        memset(s->seen[publisher] + s->seen_size[publisher], 0, size - s->seen_size[publisher]);
        s->seen_size[publisher] = size;
    }
    uint8_t bit = (uint8_t)(1 << count % 8);
    if (s->seen[publisher][byte] & bit) return false;
    s->seen[publisher][byte] |= bit;
    return true;
}

/* Is this count the one to come? Says what is wrong, or NULL. */
static inline const char *check_order(struct scheme *s, struct reader *r, const struct arrival *m)
{
    long topic = (long)m->count % s->topics;
    if (r->topic >= 0 && r->topic != topic) return "not subscribed to";
    uint32_t *next = &r->next[r->topic >= 0 ? 0 : m->publisher * s->topics + topic];
    uint32_t expected = *next;
    *next = m->count + (uint32_t)s->topics;
    if (s->shared) {
        if (m->count < expected) return "out of order, or twice to one member";
        return first_in_group(s, m->publisher, m->count) ? NULL : "delivered to two members";
    }
    if (m->count < expected) return "delivered twice, or out of order";
    return m->count > expected ? "a message before this one is missing" : NULL;
}

/* Checks a whole PUBLISH of `size` bytes. Fills `m`, and says what is wrong, or NULL. */
static inline const char *check_publish(struct scheme *s, struct reader *r, const uint8_t *p,
                                        size_t header, size_t size, struct arrival *m)
{
    const uint8_t *end = p + size;
    if ((p[0] & 15) != (s->qos << 1 | s->retained)) return "marked as duplicate or (un)retained, or another QoS";
    p += header;
    if (size < header + 2 + TOPIC_SIZE + 3 || get_u16(p) != TOPIC_SIZE) return "another topic";
    const uint8_t *topic = p + 2;
    p = topic + TOPIC_SIZE;
    if (s->qos) {
        m->id = get_u16(p);
        if (!m->id) return "a packet identifier of zero";
        p += 2;
    }
    if (s->version == 5) {
        size_t expected = s->properties ? USER_PROPERTY_SIZE : 0;
        if (*p != expected || (size_t)(end - p) < 1 + expected || memcmp(p + 1, user_property, expected))
            return "other properties";
        p += 1 + expected;
    }
    if (end - p != s->payload) return "a payload of another length";
    m->publisher = get_u32(p);
    m->count = get_u32(p + 4);
    uint64_t hash = (uint64_t)get_u32(p + 8) << 32 | get_u32(p + 12);
    if (m->publisher >= s->publishers || hash != mix((uint64_t)m->publisher << 32 | m->count))
        return "a damaged payload";
    if (memcmp(p + IDENTITY_SIZE, s->noise + m->count % NOISE_SHIFTS, (size_t)(s->payload - IDENTITY_SIZE)))
        return "a damaged payload";
    if (memcmp(topic, topic_of(s, m->publisher, m->count), TOPIC_SIZE)) return "another topic";
    if (r->only >= 0 && r->only != m->publisher) return "not subscribed to";
    const char *fault = check_order(s, r, m);
    r->received += fault == NULL;
    return fault;
}

#endif
