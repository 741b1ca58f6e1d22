/* MQTT on the wire, as far as a load generator needs it: the packets it writes, and the cutting of
 * a stream into packets. Nothing here allocates or does I/O; every writer returns the bytes written.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6, PUBCOMP = 7, SUBACK = 9,
    PINGRESP = 13, DISCONNECT = 14,
};

/* The v5 properties of a message, when a row asks for some: one user property, unit=celsius. */
static const uint8_t user_property[] = "\x26\0\4unit\0\7celsius";
enum { USER_PROPERTY_SIZE = sizeof user_property - 1 };

static inline unsigned get_u16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static inline uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline size_t put_u16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return 2;
}

static inline size_t put_u32(uint8_t *p, uint32_t value)
{
    put_u16(p, value >> 16);
    put_u16(p + 2, value & 0xffff);
    return 4;
}

static inline size_t put_varint(uint8_t *p, size_t value)
{
    size_t n = 0;
    do {
        p[n++] = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value);
    return n;
}

static inline size_t put_string(uint8_t *p, const char *text)
{
    size_t n = strlen(text);
    put_u16(p, (unsigned)n);
    memcpy(p + 2, text, n);
    return n + 2;
}

/* Cuts the packet that `p` begins with. Returns its whole length, 0 while it is incomplete; -1 for
 * a length of more than four bytes. `header` becomes the length of its fixed header. */
static inline long packet_length(const uint8_t *p, size_t available, size_t *header)
{
    size_t length = 0;
    for (size_t i = 1; i < available && i <= 4; i++) {
        length |= (size_t)(p[i] & 127) << 7 * (i - 1);
        if (p[i] < 128) {
            *header = i + 1;
            return length + i + 1 <= available ? (long)(length + i + 1) : 0;
        }
    }
    return available > 4 ? -1 : 0;
}

/* A CONNECT with a keep alive of 60 s; `id` of at most 100 characters. A lasting session is one of
 * 3.1.1 without the clean flag, or one of 5.0 that ends an hour after its connection. */
static inline size_t put_connect(uint8_t *p, int version, const char *id, bool lasting)
{
    size_t properties = version == 5 ? (lasting ? 6u : 1u) : 0u;
    size_t rest = 10u + properties + 2 + strlen(id), n = 0;
    p[n++] = 0x10;
    n += put_varint(p + n, rest);
    n += put_string(p + n, "MQTT");
    p[n++] = (uint8_t)version;
    p[n++] = lasting ? 0 : 2;
    n += put_u16(p + n, 60);
    if (version == 5) p[n++] = (uint8_t)(properties - 1);
    if (properties > 1) {
        p[n++] = 17; /* the session expiry interval */
        n += put_u32(p + n, 3600);
    }
    return n + put_string(p + n, id);
}

/* A SUBSCRIBE for some filters. */
static inline size_t put_subscribe_many(uint8_t *p, int version, unsigned id, const char **filters,
                                        int count, int qos)
{
    size_t n = 0, rest = version == 5 ? 3 : 2;
    for (int i = 0; i < count; i++) rest += 2 + strlen(filters[i]) + 1;
    p[n++] = 0x82;
    n += put_varint(p + n, rest);
    n += put_u16(p + n, id);
    if (version == 5) p[n++] = 0;
    for (int i = 0; i < count; i++) {
        n += put_string(p + n, filters[i]);
        p[n++] = (uint8_t)qos;
    }
    return n;
}

/* A SUBSCRIBE for one filter. */
static inline size_t put_subscribe(uint8_t *p, int version, unsigned id, const char *filter, int qos)
{
    return put_subscribe_many(p, version, id, &filter, 1, qos);
}

/* PUBACK, PUBREC, PUBREL or PUBCOMP without a reason, which is success in every version. */
static inline size_t put_ack(uint8_t *p, int type, unsigned id)
{
    p[0] = (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0));
    p[1] = 2;
    put_u16(p + 2, id);
    return 4;
}

#endif
