/* How bytes get to the broker and back: as they are, through TLS, or in WebSocket frames.
 *
 * The handshakes are made while the socket still blocks, one connection after the other: what they
 * cost the generator is no part of any figure. Then every call takes or gives what the socket lets
 * through and never waits. TLS needs OpenSSL when this is compiled (WITH_TLS); the broker's
 * certificate is not checked, being one that was made for the run.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum { HANDSHAKE_LIMIT_S = 5, FRAME_HEADER_MAX = 14 };

struct transport {
    int fd;
    bool framed;                            /* WebSocket */
    uint8_t header[FRAME_HEADER_MAX];       /* of the frame that is being read */
    size_t header_size;
    uint64_t left;                          /* of its payload */
    bool control;                           /* it is no data */
#ifdef WITH_TLS
    SSL *tls;
#endif
};

#ifdef WITH_TLS
static inline const char *tls_begin(struct transport *t)
{
    static SSL_CTX *context;
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        if (!context) return "no TLS context";
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    t->tls = SSL_new(context);
    if (!t->tls || SSL_set_fd(t->tls, t->fd) != 1) return "no TLS connection";
    return SSL_connect(t->tls) == 1 ? NULL : "the TLS handshake failed";
}
#else
static inline const char *tls_begin(struct transport *t)
{
    (void)t;
    return "this generator was built without OpenSSL";
}
#endif

/* What the socket takes of `data`: 0 when nothing now, -1 when the connection is gone. */
static inline ssize_t transport_write(struct transport *t, const uint8_t *data, size_t size)
{
#ifdef WITH_TLS
    size_t done = 0;
    while (t->tls && done < size) {
        int n = SSL_write(t->tls, data + done, size - done > 1 << 30 ? 1 << 30 : (int)(size - done));
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        int why = SSL_get_error(t->tls, n);
        if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) return -1;
        break;
    }
    if (t->tls) return (ssize_t)done;
#endif
    ssize_t n = send(t->fd, data, size, MSG_NOSIGNAL);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

/* What has come, as bytes of the stream below WebSocket. */
static inline ssize_t transport_receive(struct transport *t, uint8_t *data, size_t size)
{
    ssize_t n;
#ifdef WITH_TLS
    if (t->tls) {
        size_t done = 0;
        while (done < size) { /* a record at a time; what is left in OpenSSL wakes no epoll */
            int read = SSL_read(t->tls, data + done, (int)(size - done));
            if (read > 0) {
                done += (size_t)read;
                continue;
            }
            int why = SSL_get_error(t->tls, read);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE && !done) return -1;
            break;
        }
        return (ssize_t)done;
    }
#endif
    n = recv(t->fd, data, size, 0);
    return n < 0 && errno == EAGAIN ? 0 : n == 0 ? -1 : n;
}

/* Whether more can be read without the socket saying so. */
static inline bool transport_holds_more(const struct transport *t)
{
#ifdef WITH_TLS
    return t->tls && SSL_pending(t->tls) > 0;
#else
    (void)t;
    return false;
#endif
}

/* -- WebSocket ---------------------------------------------------------------------------------- */

/* A masked binary frame of `data` at `to`, which has FRAME_HEADER_MAX bytes more. */
static inline size_t put_frame(uint8_t *to, const uint8_t *data, size_t size)
{
    static uint32_t seed = 1;
    size_t n = 0;
    uint8_t mask[4];
    seed = seed * 1664525u + 1013904223u; /* differs from frame to frame; nobody attacks here */
    memcpy(mask, &seed, 4);
    to[n++] = 0x82;
    if (size < 126) to[n++] = (uint8_t)(0x80 | size);
    else if (size < 65536) {
        to[n++] = 0x80 | 126;
        to[n++] = (uint8_t)(size >> 8);
        to[n++] = (uint8_t)size;
    } else {
        to[n++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) to[n++] = (uint8_t)((uint64_t)size >> shift);
    }
    memcpy(to + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < size; i++) to[n + i] = data[i] ^ mask[i % 4];
    return n + size;
}

/* The length of the header that begins so, 0 while that cannot be said. */
static inline size_t frame_header_size(const uint8_t *p, size_t size)
{
    if (size < 2) return 0;
    return (p[1] & 127) == 127 ? 10 : (p[1] & 127) == 126 ? 4 : 2;
}

static inline const char *take_frame_header(struct transport *t)
{
    const uint8_t *p = t->header;
    int opcode = p[0] & 15, bits = p[1] & 127;
    if (p[1] & 128) return "a frame of a server is masked";
    if (p[0] & 0x70) return "a frame has reserved bits";
    if (opcode == 8) return "the broker closed the WebSocket";
    if (opcode == 1) return "a frame is text";
    t->control = opcode > 8;
    t->left = bits < 126 ? (uint64_t)bits : 0;
    for (size_t i = 2; i < t->header_size; i++) t->left = t->left << 8 | p[i];
    t->header_size = 0;
    return NULL;
}

/* Takes the headers out of what was read, in place; returns what is left of it. */
static inline size_t unframe(struct transport *t, uint8_t *data, size_t size, const char **fault)
{
    size_t kept = 0, i = 0;
    while (i < size) {
        if (t->left) {
            size_t n = size - i < t->left ? size - i : (size_t)t->left;
            if (!t->control) {
                memmove(data + kept, data + i, n);
                kept += n;
            }
            t->left -= n;
            i += n;
            continue;
        }
        t->header[t->header_size++] = data[i++];
        if (t->header_size != frame_header_size(t->header, t->header_size)) continue;
        *fault = take_frame_header(t);
        if (*fault) return kept;
    }
    return kept;
}

static inline const char *ws_begin(struct transport *t)
{
    static const char request[] = "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: bWlkZ2UgYmVuY2htYXJrIQ==\r\n"
                                  "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    char answer[2048];
    size_t n = 0;
    if (transport_write(t, (const uint8_t *)request, sizeof request - 1) != sizeof request - 1)
        return "the broker does not take a request";
    while (n < sizeof answer - 1) {
        if (transport_receive(t, (uint8_t *)answer + n, 1) != 1) return "no answer to a request";
        answer[++n] = 0;
        if (n >= 4 && !memcmp(answer + n - 4, "\r\n\r\n", 4))
            return strncmp(answer, "HTTP/1.1 101", 12) ? "the broker does not upgrade" : NULL;
    }
    return "an answer without an end";
}

/* Makes the handshakes on a connected socket that blocks; says what failed, or NULL. */
static inline const char *transport_begin(struct transport *t, int fd, bool tls, bool framed)
{
    struct timeval limit = {.tv_sec = HANDSHAKE_LIMIT_S};
    const char *fault = NULL;
    memset(t, 0, sizeof *t);
    t->fd = fd;
    t->framed = framed;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (tls) fault = tls_begin(t);
    if (!fault && framed) fault = ws_begin(t);
    return fault;
}

#endif
